import assert from 'node:assert/strict';
import { AppError } from '../../src/errors.ts';
import type { Context, Next } from '../../src/http/context.ts';

/** Runs layers, and returns the error that they rejected the request with, thrown or as the reply; undefined if they did not. */
export async function rejectionOf(run: Next, ctx: Context): Promise<AppError | undefined> {
  try {
    await run(ctx);
  } catch (error) {
    return mustBeAppError(error);
  }
  return ctx.error === undefined ? undefined : mustBeAppError(ctx.error);
}

/** Like `rejectionOf`, for layers that must not wait. */
export function rejectionNow(run: Next, ctx: Context): AppError | undefined {
  try {
    assert.equal(run(ctx), undefined);
  } catch (error) {
    return mustBeAppError(error);
  }
  return ctx.error === undefined ? undefined : mustBeAppError(ctx.error);
}

function mustBeAppError(error: unknown): AppError {
  assert.ok(error instanceof AppError, String(error));
  return error;
}

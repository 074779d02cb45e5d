import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppError } from '../../src/errors.ts';
import { compose } from '../../src/http/compose.ts';
import type { Context, Next } from '../../src/http/context.ts';
import { rejectRequest } from '../../src/http/problem.ts';
import { errorBoundary } from '../../src/middleware/error-boundary.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { makeContext } from '../helpers/context.ts';

/** Runs the boundary around a layer that throws, or that rejects. */
async function answerTo(error: unknown, { debug = false, late = false } = {}) {
  const captured = captureLog();
  const ctx = makeContext({ target: '/a?token=abc', method: 'PUT' });
  ctx.id = 'request-1';
  const fail = () => {
    if (late) return Promise.reject(error);
    throw error;
  };
  await compose([{ name: 'error-boundary', run: errorBoundary({ log: captured.log, debug }) }], fail)(ctx);
  return { ctx, problem: problemOf(ctx), captured };
}

function problemOf({ payload }: Context) {
  return JSON.parse(typeof payload === 'string' ? payload : assert.fail('There is no problem.'));
}

for (const late of [false, true]) {
  describe(`an error ${late ? 'that a promise rejects with' : 'thrown synchronously'}`, () => {
    it(`an error ${late ? 'that a promise rejects with' : 'thrown synchronously'} becomes a problem`, async () => {
      const { ctx, problem } = await answerTo(new AppError('conflict', 'It is taken.'), { late });
      assert.deepEqual([ctx.status, problem.detail, problem.request_id], [409, 'It is taken.', 'request-1']);
      assert.equal(ctx.headers['content-type'], 'application/problem+json');
    });

    it(`a bug ${late ? 'that a promise rejects with' : 'thrown synchronously'} is logged with its stack and the request, and the client learns no details`, async () => {
      const secret = new Error('password is hunter2', { cause: new Error('deeper') });
      const { problem, captured } = await answerTo(secret, { late });
      assert.equal(problem.status, 500);
      assert.ok(!/hunter2|deeper|\bat\b.*:\d+/.test(JSON.stringify(problem)));
      const [line, ...more] = captured.of('http.request.failed');
      assert.deepEqual(more, []);
      assert.deepEqual(
        [line?.level, line?.request_id, line?.method, line?.path],
        ['error', 'request-1', 'PUT', '/a'],
      );
      assert.match(JSON.stringify(line?.error), /hunter2.*error-boundary\.test.*deeper/);
    });
  });
}

describe('the error boundary', () => {
  it('the error boundary reports each error of a request once, however a layer rejects, and nothing for a success', async () => {
    const expected = new AppError('conflict', 'It is taken.');
    const outcomes: [what: string, run: Next, reported: unknown[]][] = [
      ['succeeds', () => undefined, []],
      ['succeeds later', async () => {}, []],
      ['throws', () => assert.fail(expected), [expected]],
      ['rejects later', () => Promise.reject(expected), [expected]],
      ['rejects without throwing', (ctx) => rejectRequest(ctx, expected), [expected]],
      ['rejects later without throwing', async (ctx) => rejectRequest(ctx, expected), [expected]],
    ];
    for (const [what, run, expectedReports] of outcomes) {
      const reported: unknown[] = [];
      const boundary = errorBoundary({
        ...{ log: captureLog().log, debug: false },
        onError: (_ctx, error) => void reported.push(error),
      });
      await compose([{ name: 'error-boundary', run: boundary }], run)(makeContext());
      assert.deepEqual(reported, expectedReports, what);
    }
  });

  it('the error boundary sends stacks to the client in debug mode only', async () => {
    const { problem } = await answerTo(new Error('broken'), { debug: true });
    assert.match(problem.debug[0], /^Error: broken\n.*error-boundary\.test/s);
  });

  it('the error boundary logs no rejected request, because it is not an error of the server', async () => {
    const { captured } = await answerTo(new AppError('not_found', 'Nothing.'));
    assert.equal(captured.text(), '');
  });

  for (const thrown of [undefined, null, 'text', 7, { a: 1 }, Object.create(null)]) {
    it(`the error boundary answers 500 to a thrown ${thrown === null || typeof thrown !== 'object' ? String(thrown) : 'object'}`, async () => {
      for (const debug of [false, true])
        assert.equal((await answerTo(thrown, { debug })).problem.status, 500);
    });
  }

  it('the error boundary leaves a response unchanged, and creates no promise for a synchronous one', () => {
    const ctx = makeContext();
    const run = errorBoundary({ log: captureLog().log, debug: false });
    assert.equal(
      run(ctx, (same) => void same.reply(200, 'ok')),
      undefined,
    );
    assert.deepEqual([ctx.status, ctx.payload], [200, 'ok']);
  });
});

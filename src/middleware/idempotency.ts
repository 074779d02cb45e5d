import { randomUUID } from 'node:crypto';
import { AppError } from '../errors.ts';
import { receiveBody } from '../http/body/body.ts';
import type { Context, Done, Middleware, Next } from '../http/context.ts';
import type { FinishedReply } from '../http/reply.ts';
import type { ReplyRecorder } from '../http/reply-recorder.ts';
import { digestRequest, parseIdempotencyKey } from '../idempotency/idempotency-key.ts';
import type { Claim, IdempotencyStore, StoredReply } from '../idempotency/idempotency-store.ts';
import { showPath } from '../observability/log/target-text.ts';
import type { Logger } from '../observability/logger.ts';
import { runOutsideRequest } from '../observability/request-context.ts';

export interface IdempotencyOptions {
  readonly store: IdempotencyStore;
  readonly log: Logger;
}

const layer = 'idempotency';

/** The minimum length of a key from an anonymous client, in characters. */
const minAnonymousLength = 16;

/**
 * Executes a request with an `Idempotency-Key` once, on routes that declare `idempotent`:
 *
 *     the first request with a key     is executed
 *     the same request again           gets the stored response with `Idempotency-Replayed: true`
 *     the same request meanwhile       409
 *     a different request              422
 *
 * Only successes are stored, so a rejected request may be sent again. A key belongs to its user, or to all anonymous clients
 * together. An anonymous key must be long: a client that guesses it could test guesses of the original body, including the
 * password in it, by the responses.
 *
 * It is the innermost layer. A replayed response passes the outer layers like any other, so only a caller who may call the
 * route gets it, and `recheck-authority` has just checked the caller in the database. The kind of credential and the role are
 * part of the request, because a feature may allow an admin what it denies the same user later: with another role or kind of
 * credential the key is rejected (422), and nothing is replayed or executed twice. idempotency-store.ts describes how keys
 * are stored and which guarantees hold after a failure.
 */
export function idempotency({ store, log }: IdempotencyOptions): Middleware {
  return function idempotency(ctx, next): Done {
    const { match, request } = ctx;
    const field = request.headers['idempotency-key'];
    if (field === undefined || match.kind !== 'found' || match.value.route.idempotent !== true)
      return next(ctx);
    const key = parseIdempotencyKey(String(field));
    if (key === undefined) {
      throw new AppError(
        'bad_request',
        'Send one Idempotency-Key of 1 to 255 visible ASCII characters, such as a UUID.',
        { layer },
      );
    }
    if (ctx.principal === undefined && key.length < minAnonymousLength) {
      throw new AppError(
        'bad_request',
        `Without credentials, send an Idempotency-Key of at least ${minAnonymousLength} characters that cannot be guessed, such as a UUID.`,
        { layer },
      );
    }
    // The layer content-validation has read the body, unless it is disabled.
    const isRead = ctx.rawBody !== undefined || ctx.bodyState === 'absent';
    if (isRead) return executeOnce(ctx, next, key);
    return receiveBody(ctx, match.value.bodyLimits, layer).then(() => executeOnce(ctx, next, key));
  };

  async function executeOnce(ctx: Context, next: Next, key: string): Promise<void> {
    const claim = claimOf(ctx, key);
    // Assumed until `begin` reports otherwise: a failed `begin` may have claimed the key.
    let holdsKey = true;
    try {
      const beginning = await store.begin(claim);
      holdsKey = beginning.kind === 'started';
      if (beginning.kind === 'running') throw running('The first request with this key');
      if (beginning.kind === 'mismatch') throw mismatch();
      if (beginning.kind === 'done') return replay(ctx, beginning);
      const recorder = createRecorder(claim);
      ctx.recorder = recorder;
      await next(ctx);
      holdsKey = !isStored(ctx, recorder);
    } finally {
      if (holdsKey) await release(claim);
    }
  }

  function createRecorder(claim: Claim): ReplyRecorder {
    let recorded: FinishedReply | undefined;
    return {
      get recorded() {
        return recorded;
      },
      async record(transaction, reply) {
        const { status, headers, payload = null } = reply;
        if (status >= 400 || (payload !== null && typeof payload !== 'string')) {
          throw new Error('Only a success with a text body or without a body can be stored for replay.');
        }
        if (!(await store.complete(transaction, claim, { status, headers, body: payload }))) {
          log.warning('idempotency.fenced', { scope: claim.scope, attempt: claim.attempt });
          throw running('Another attempt at this request');
        }
        recorded = reply;
      },
    };
  }

  /** Runs outside the request, because the end of the request must not cancel it. */
  async function release(claim: Claim): Promise<void> {
    try {
      await runOutsideRequest(() => store.release(claim));
    } catch (error) {
      // The request does not fail for it: the lease of the row expires by itself.
      log.warning('idempotency.release_failed', { scope: claim.scope, attempt: claim.attempt, error });
    }
  }

  function replay(ctx: Context, { status, headers, body }: StoredReply): void {
    log.info('idempotency.replayed', { method: ctx.method, path: showPath(ctx.target.path) });
    ctx.reply(status, body ?? undefined);
    Object.assign(ctx.headers, headers, { 'idempotency-replayed': 'true' });
  }
}

function claimOf({ method, target, request, rawBody, principal }: Context, key: string): Claim {
  return {
    scope: principal === undefined ? 'anonymous' : `user:${principal.userId}`,
    attempt: randomUUID(),
    ...digestRequest(key, {
      method,
      path: target.path,
      query: target.query,
      contentType: request.headers['content-type'],
      ifMatch: request.headers['if-match'],
      ifNoneMatch: request.headers['if-none-match'],
      authority: principal === undefined ? undefined : `${principal.kind} ${principal.role}`,
      body: rawBody,
    }),
  };
}

/** Returns whether the response was stored. Throws if the handler succeeded without storing it. */
function isStored(ctx: Context, { recorded }: ReplyRecorder): boolean {
  if (ctx.aborted || ctx.status >= 400) return false;
  if (recorded !== undefined) return true;
  throw new Error(
    `The handler of ${ctx.method} ${ctx.target.path} did its work without recording its reply: pass recordReply(...) to the service.`,
  );
}

function running(what: string): AppError {
  return new AppError(
    'idempotency_running',
    `${what} has not been answered yet: send this one again shortly.`,
    {
      layer,
      headers: { 'retry-after': '1' },
    },
  );
}

function mismatch(): AppError {
  return new AppError(
    'idempotency_mismatch',
    'This Idempotency-Key was used before with another request or other credentials: use a new key for each new request.',
    { layer },
  );
}

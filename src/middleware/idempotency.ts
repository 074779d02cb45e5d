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

/** Of the keys of those who have not signed in, in characters. */
const minAnonymousLength = 16;

/**
 * Does a request that carries an `Idempotency-Key` once, on routes that declare `idempotent`: the first is worked for,
 * the same one sent again gets the same answer with `Idempotency-Replayed: true`, one sent meanwhile 409, and another
 * request with the key 422. A key belongs to its user, or to all who have not signed in; one of the latter has to be long,
 * for whoever guesses it can try from the answers what the body was, with the password in it. Only successes are kept:
 * what was refused may be sent again.
 *
 * It is the innermost layer: an answer that is replayed passes the outer ones like any other, so nobody gets one who may
 * not call the route, and `recheck-authority` has just asked the database who the caller is. The kind of the credential
 * and the role are part of the request, since a feature may have let an admin do what it refuses to the same user later:
 * with another role or another kind of credential the key is refused (422), and nothing is replayed or done twice. How keys are kept, and what holds when something breaks, is in idempotency-store.ts.
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
        `Without signing in, send an Idempotency-Key of at least ${minAnonymousLength} characters that nobody can guess, such as a UUID.`,
        { layer },
      );
    }
    // Read already, unless the layer that checks contents is turned off.
    const isRead = ctx.rawBody !== undefined || ctx.bodyState === 'absent';
    if (isRead) return answerOnce(ctx, next, key);
    return receiveBody(ctx, match.value.bodyLimits, layer).then(() => answerOnce(ctx, next, key));
  };

  async function answerOnce(ctx: Context, next: Next, key: string): Promise<void> {
    const claim = claimOf(ctx, key);
    // Until it is known that it does not.
    let holdsKey = true;
    try {
      const begun = await store.begin(claim);
      holdsKey = begun.kind === 'started';
      if (begun.kind === 'running') throw running('The first request with this key');
      if (begun.kind === 'mismatch') throw mismatch();
      if (begun.kind === 'done') return replay(ctx, begun);
      const recorder = createRecorder(claim);
      ctx.recorder = recorder;
      await next(ctx);
      holdsKey = !isKept(ctx, recorder);
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
          throw new Error('Only a success that is text, or has no body, can be kept for its repetition.');
        }
        if (!(await store.complete(transaction, claim, { status, headers, body: payload }))) {
          log.warning('idempotency.fenced', { scope: claim.scope, attempt: claim.attempt });
          throw running('Another attempt at this request');
        }
        recorded = reply;
      },
    };
  }

  /** The request may be over by now, and its end must not be in the way of this. */
  async function release(claim: Claim): Promise<void> {
    try {
      await runOutsideRequest(() => store.release(claim));
    } catch (error) {
      // The row's lease ends by itself.
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

/** Whether the answer was kept, as it must be when the work has succeeded. Throws for a handler that forgot it. */
function isKept(ctx: Context, { recorded }: ReplyRecorder): boolean {
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
    'This Idempotency-Key came with another request before, or with other credentials: use a new key for each new request.',
    { layer },
  );
}

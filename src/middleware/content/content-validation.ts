import { AppError } from '../../errors.ts';
import { assertAcceptableBody, receiveBody, waitForBody } from '../../http/body/body.ts';
import type { Context, Done, Middleware, Next, PreparedRoute } from '../../http/context.ts';
import { parseMediaType } from '../../http/headers/media-type.ts';
import { rejectRequest } from '../../http/problem.ts';

const layer = 'content-validation';

/**
 * Reads the body if the route accepts one, only of an accepted type, up to the maximum size of the route, and within the
 * deadline. A route without a body rejects requests that have one. A request without a body passes: the schema decides
 * whether the body may be missing. Whether a chunked request has a body is known only when its first octet arrives, so the
 * check waits for it. An upload is not read here; only its headers are checked. The end of the pipeline writes it to disk
 * under the same limits.
 */
export function contentValidation(): Middleware {
  return function contentValidation(ctx, next) {
    const { match } = ctx;
    if (match.kind !== 'found' || ctx.bodyState === 'absent') return next(ctx);
    const prepared = match.value;
    if (ctx.bodyState === 'present') return validate(ctx, next, prepared);
    return waitForBody(ctx, prepared.bodyLimits, layer).then((isPresent) =>
      isPresent ? validate(ctx, next, prepared) : next(ctx),
    );
  };
}

function validate(ctx: Context, next: Next, { accepts, bodyLimits, route }: PreparedRoute): Done {
  if (accepts.length === 0) {
    const detail = 'This route accepts no body; send the request without one.';
    return rejectRequest(ctx, new AppError('bad_request', detail, { layer }));
  }
  const header = ctx.request.headers['content-type'];
  const mediaType = header === undefined ? undefined : parseMediaType(header);
  if (mediaType === undefined || !accepts.includes(mediaType.type)) {
    return rejectRequest(
      ctx,
      new AppError('unsupported_media_type', `Send the body as ${accepts.join(' or ')}.`, {
        layer,
        headers: { [route.method === 'PATCH' ? 'accept-patch' : 'accept-post']: accepts.join(', ') },
      }),
    );
  }
  if (route.upload !== undefined) {
    assertAcceptableBody(ctx, bodyLimits, layer);
    return next(ctx);
  }
  return receiveBody(ctx, bodyLimits, layer).then(() => next(ctx));
}

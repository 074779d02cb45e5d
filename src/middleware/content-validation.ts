import { AppError } from '../errors.ts';
import { assertAcceptableBody, receiveBody, waitForBody } from '../http/body/body.ts';
import type { Context, Done, Middleware, Next, PreparedRoute } from '../http/context.ts';
import { parseMediaType } from '../http/headers/media-type.ts';

const layer = 'content-validation';

/**
 * A body is read only where one is expected, only of a type that the route takes, and only up to the route's
 * size, within the deadline. A route that takes no body refuses one. Without a body there is nothing to check here:
 * whether it may be missing is the schema's question. Whether there is one, a chunked request shows with its first
 * octet: until then its headers are not held against it. An upload is not read here: it goes to disk at the end of the
 * pipeline, under the same limits, and only what its headers say is looked at.
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
    throw new AppError('bad_request', 'This route takes no body; send the request without one.', { layer });
  }
  const header = ctx.request.headers['content-type'];
  const mediaType = header === undefined ? undefined : parseMediaType(header);
  if (mediaType === undefined || !accepts.includes(mediaType.type)) {
    throw new AppError('unsupported_media_type', `Send the body as ${accepts.join(' or ')}.`, {
      layer,
      headers: { [route.method === 'PATCH' ? 'accept-patch' : 'accept-post']: accepts.join(', ') },
    });
  }
  if (route.upload !== undefined) {
    assertAcceptableBody(ctx, bodyLimits, layer);
    return next(ctx);
  }
  return receiveBody(ctx, bodyLimits, layer).then(() => next(ctx));
}

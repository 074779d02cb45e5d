import { AppError } from '../errors.ts';
import { hasBody, receiveBody, refuseByHeaders } from '../http/body.ts';
import type { Middleware } from '../http/context.ts';
import { parseMediaType } from '../http/media-type.ts';

/**
 * A body is read only where one is expected, only of a type that the route takes, and only up to the route's
 * size, within the deadline. A route that takes no body refuses one. Without a body there is nothing to check here:
 * whether it may be missing is the schema's question. An upload is not read here: it goes to disk at the end of the
 * pipeline, under the same limits, and only what its headers say is looked at.
 */
export function contentValidation(): Middleware {
  const layer = 'content-validation';

  return function contentValidation(ctx, next) {
    const { request, match } = ctx;
    if (match.kind !== 'found' || !hasBody(request)) return next(ctx);
    const { accepts, bodyLimits, route } = match.value;
    if (accepts.length === 0) {
      throw new AppError('bad_request', 'This route takes no body; send the request without one.', { layer });
    }
    const header = request.headers['content-type'];
    const mediaType = header === undefined ? undefined : parseMediaType(header);
    if (mediaType === undefined || !accepts.includes(mediaType.type)) {
      throw new AppError('unsupported_media_type', `Send the body as ${accepts.join(' or ')}.`, {
        layer,
        headers: { [route.method === 'PATCH' ? 'accept-patch' : 'accept-post']: accepts.join(', ') },
      });
    }
    if (route.upload !== undefined) {
      refuseByHeaders(ctx, bodyLimits, layer);
      return next(ctx);
    }
    return receiveBody(ctx, bodyLimits, layer).then(() => next(ctx));
  };
}

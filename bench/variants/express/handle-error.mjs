/** The last of the middlewares: a body that is no JSON brings its status along, anything else is ours. */
export function handleError(error, request, response, next) {
  if (response.headersSent) return next(error);
  const status = error.status ?? 500;
  if (status >= 500) request.log.error(error);
  response.status(status).json({ message: status < 500 ? error.message : 'Something went wrong.' });
}

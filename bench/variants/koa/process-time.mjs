/** Sets `X-Process-Time` to the duration of the request in milliseconds. */
export function processTime() {
  return async (ctx, next) => {
    const startedAt = performance.now();
    await next();
    ctx.set('X-Process-Time', (performance.now() - startedAt).toFixed(3));
  };
}

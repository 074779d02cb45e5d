/** Says in `X-Process-Time` how many milliseconds the answer took. */
export function processTime() {
  return async (ctx, next) => {
    const startedAt = performance.now();
    await next();
    ctx.set('X-Process-Time', (performance.now() - startedAt).toFixed(3));
  };
}

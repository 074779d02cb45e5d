/** Says in `X-Process-Time` how many milliseconds the answer took. */
export function processTime() {
  return async (c, next) => {
    const startedAt = performance.now();
    await next();
    c.header('X-Process-Time', (performance.now() - startedAt).toFixed(3));
  };
}

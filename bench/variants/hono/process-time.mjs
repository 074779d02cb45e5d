/** Sets `X-Process-Time` to the duration of the request in milliseconds. */
export function processTime() {
  return async (c, next) => {
    const startedAt = performance.now();
    await next();
    c.header('X-Process-Time', (performance.now() - startedAt).toFixed(3));
  };
}

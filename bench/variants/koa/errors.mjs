/**
 * Renders what is thrown inside. Koa's own handler would take every header away that has been set by then, those of
 * helmet and cors too.
 */
export function errors() {
  return async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      ctx.status = error.status ?? 500;
      ctx.body = { message: error.expose === true ? error.message : 'Something went wrong.' };
      if (ctx.status >= 500) ctx.log.error(error);
    }
  };
}

/** Checks the named parts of the request, and leaves what the schemas make of them in `ctx.state`. */
export function validate(schemas) {
  const entries = Object.entries(schemas);
  return async (ctx, next) => {
    for (const [part, schema] of entries) {
      const { success, data, error } = schema.safeParse(part === 'body' ? ctx.request.body : ctx[part]);
      if (!success) {
        ctx.status = 400;
        ctx.body = { message: 'The request is not valid.', issues: error.issues };
        return;
      }
      ctx.state[part] = data;
    }
    await next();
  };
}

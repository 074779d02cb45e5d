/** Checks the named parts of the request, and leaves what the schemas make of them in `response.locals`. */
export function validate(schemas) {
  return (request, response, next) => {
    for (const [part, schema] of Object.entries(schemas)) {
      const { success, data, error } = schema.safeParse(request[part]);
      if (!success)
        return response.status(400).json({ message: 'The request is not valid.', issues: error.issues });
      response.locals[part] = data;
    }
    next();
  };
}

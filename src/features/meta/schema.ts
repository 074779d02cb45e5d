import * as z from 'zod';

const link = (description: string, example: string) =>
  z.string().nullable().meta({ description, example, maxLength: 2000 });

export const serviceMeta = z
  .object({
    name: z.string().meta({ description: 'The name of the service.', example: 'Strata', maxLength: 100 }),
    description: z.string().meta({ description: 'The purpose of the service.', maxLength: 1000 }),
    version: z
      .string()
      .meta({ description: 'The version of the service.', example: '0.1.0', maxLength: 100 }),
    environment: z
      .string()
      .meta({ description: 'The environment of the server.', example: 'local', maxLength: 100 }),
    uptime_seconds: z
      .number()
      .min(0)
      .meta({ description: 'How long this process has been running, in seconds.', example: 3600.5 }),
    api_prefix: z
      .string()
      .meta({ description: 'The prefix of all paths.', example: '/api/v1', maxLength: 2000 }),
    docs: z
      .object({
        swagger: link('Path of the docs page.', '/docs'),
        redoc: link('Path of the second view of the docs page.', '/redoc'),
        openapi: link('Path of the OpenAPI document.', '/openapi.json'),
      })
      .meta({ description: 'Where the API is documented; null if not served in this environment.' }),
  })
  .meta({ id: 'Meta' });

/** The links of the path `/`, which the API document does not show. */
export const serviceLinks = z.object({
  name: z.string(),
  meta: z.string(),
  health: z.string(),
  docs: z.string().nullable(),
  openapi: z.string().nullable(),
});

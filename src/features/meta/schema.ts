import * as z from 'zod';

const link = (description: string, example: string) =>
  z.string().nullable().meta({ description, example, maxLength: 2000 });

export const meta = z
  .object({
    name: z.string().meta({ description: 'The name of the service.', example: 'Strata', maxLength: 100 }),
    description: z.string().meta({ description: 'What the service is for.', maxLength: 1000 }),
    version: z
      .string()
      .meta({ description: 'The version of the service.', example: '0.1.0', maxLength: 100 }),
    environment: z.string().meta({ description: 'Where the server runs.', example: 'local', maxLength: 100 }),
    uptime_seconds: z
      .number()
      .min(0)
      .meta({ description: 'How long this process has run.', example: 3600.5 }),
    api_prefix: z
      .string()
      .meta({ description: 'The path that every route begins with.', example: '/api/v1', maxLength: 2000 }),
    docs: z
      .object({
        swagger: link('Path of the page that shows the API.', '/docs'),
        redoc: link('Path of its second view.', '/redoc'),
        openapi: link('Path of the OpenAPI document.', '/openapi.json'),
      })
      .meta({ description: 'Where the API is described; null for what is not served in this environment.' }),
  })
  .meta({ id: 'Meta' });

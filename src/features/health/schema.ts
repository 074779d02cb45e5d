import * as z from 'zod';

const passing = z.enum(['pass', 'fail']);

/** The liveness of the process, without any checks. */
export const liveness = z
  .object({
    status: z
      .literal('pass')
      .meta({ description: 'Always `pass`: a process that is not alive does not answer.' }),
    environment: z
      .string()
      .meta({ description: 'The environment of the server.', example: 'local', maxLength: 100 }),
    version: z
      .string()
      .meta({ description: 'The version of the service.', example: '0.1.0', maxLength: 100 }),
  })
  .meta({ id: 'Liveness' });

const checkResult = z
  .object({
    status: z.enum(['ok', 'degraded', 'failed', 'disabled']).meta({
      description:
        '`degraded`: the part is away, and the server does its work without it. `disabled`: the settings do not enable the part.',
    }),
    required: z.boolean().meta({ description: 'Whether the server is not ready when this check fails.' }),
    detail: z
      .string()
      .optional()
      .meta({ description: 'Why the part failed or is degraded.', maxLength: 1000 }),
    duration_ms: z
      .number()
      .min(0)
      .meta({ description: 'How long the check took, in milliseconds.', example: 0.8 }),
  })
  .meta({ id: 'HealthCheck' });

/** Whether this server should get traffic, and the results of the checks. */
export const readiness = z
  .object({
    status: passing.meta({ description: '`fail` when a required check fails.', example: 'pass' }),
    checks: z.record(z.string(), checkResult).meta({
      description: 'The result of each check, by its name.',
      example: { database: { status: 'ok', required: true, duration_ms: 0.8 } },
    }),
  })
  .meta({ id: 'Readiness' });

/** Whether the server has been ready once. */
export const startup = z
  .object({
    status: passing.meta({
      description: '`pass` once the server has been ready.',
      example: 'pass',
    }),
  })
  .meta({ id: 'Startup' });

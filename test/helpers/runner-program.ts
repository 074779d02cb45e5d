/**
 * A runner as a program that tests can kill: `runner-program.ts <url> <file>`. Its task `wait` returns "child" as soon
 * as the file exists. It logs to standard output and stops gracefully at SIGTERM.
 */

import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { startRunner } from '../../src/jobs/runner/runner.ts';
import { defineTask } from '../../src/jobs/task.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics/metrics.ts';
import { inlinePool, returned } from './inline-pool.ts';

const [, , url = '', file = ''] = process.argv;
const log = createLogger({
  level: 'DEBUG',
  destination: { write: (line) => void process.stdout.write(line), flush: () => Promise.resolve() },
});
const pool = inlinePool(4, async () => {
  while (!existsSync(file)) await delay(10);
  return returned('child');
});
const runner = await startRunner({
  ...{ databaseUrl: url, directUrl: url, pool, log, metrics: createMetrics(), version: '0.0.0' },
  definitions: [defineTask({ name: 'wait', payload: z.unknown() })],
});
process.on('SIGTERM', () => void runner.stop(100).then(() => process.exit(0)));

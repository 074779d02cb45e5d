import * as z from 'zod';
import { defineTask } from '../../src/jobs/task.ts';

export const noop = defineTask({ name: 'noop', payload: z.object({}) });

/** Its result is when it has started. */
export const stamp = defineTask({ name: 'stamp', payload: z.object({ number: z.number() }) });

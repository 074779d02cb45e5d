import { z } from 'zod';
import { defineTask } from '../../dist/jobs/task.js';

export const noop = defineTask({ name: 'noop', payload: z.object({}) });

/** Its result is when it has started. */
export const stamp = defineTask({ name: 'stamp', payload: z.object({ number: z.number() }) });

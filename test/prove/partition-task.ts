import { addFeature } from '../helpers/add-feature.ts';

/** Adds to a copy of the sources a task that runs until it is cancelled, and leaves a sign of life five times a second. */
export function addPartitionTask(sources: string): Promise<void> {
  return addFeature(
    sources,
    'endless',
    `import { setTimeout as delay } from 'node:timers/promises';
     import * as z from 'zod';
     import { defineTask, implementTask } from '../../jobs/task.ts';
     const definition = defineTask({ name: 'endless', payload: z.unknown() });
     const create = () => implementTask(definition, async (_payload, ctx) => {
       for (;;) {
         ctx.signal.throwIfAborted();
         await ctx.sql\`insert into beats (attempt) values (\${ctx.job.attempt})\`.catch(() => {});
         await delay(200, undefined, { signal: ctx.signal });
       }
     });
     export const endless = { name: 'endless', tasks: [{ definition, create }] };
    `,
  );
}

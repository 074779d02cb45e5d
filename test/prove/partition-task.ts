import { insertFeature } from '../helpers/insert-feature.ts';

/** Adds a task to a copy of the sources that runs until it is aborted, and writes a heartbeat five times a second. */
export function addPartitionTask(sources: string): Promise<void> {
  return insertFeature(
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

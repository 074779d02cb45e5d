import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Adds to a copy of the sources a task that runs until it is told to end, and leaves a sign of life five times a second. */
export async function addPartitionTask(sources: string): Promise<void> {
  await copyFile(join(sources, 'tasks.ts'), join(sources, 'tasks-product.ts'));
  await writeFile(
    join(sources, 'tasks.ts'),
    `import { setTimeout as delay } from 'node:timers/promises';
     import * as z from 'zod';
     import { defineTask, implementTask } from './jobs/task.ts';
     import * as product from './tasks-product.ts';
     const endless = defineTask({ name: 'endless', payload: z.unknown() });
     const run = implementTask(endless, async (_payload, ctx) => {
       for (;;) {
         ctx.signal.throwIfAborted();
         await ctx.sql\`insert into beats (attempt) values (\${ctx.job.attempt})\`.catch(() => {});
         await delay(200, undefined, { signal: ctx.signal });
       }
     });
     export const taskDefinitions = [...product.taskDefinitions, endless];
     export const createTasks = (parts) => [...product.createTasks(parts), run];
    `,
  );
}

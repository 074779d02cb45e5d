import { listFeature, readFeatureName } from './feature.ts';
import type { ProjectFiles } from './project-files.ts';

/** Adds a feature with one background task. Throws a StartError for an invalid or taken name. */
export function addTask(files: ProjectFiles, name: string): void {
  const { many, one, type } = readFeatureName(files, name);
  const task = `run_${one}`;
  const definition = `run${type}`;
  listFeature(files, many);
  files.add(
    `src/features/${many}/${many}.ts`,
    `import * as z from 'zod';
import { defineTask } from '../../jobs/task.ts';

/** Enqueue it with \`queue.enqueue(tx, ${definition}, { subject })\`, in the transaction whose commit should start it. */
export const ${definition} = defineTask({
  name: '${task}',
  payload: z.strictObject({ subject: z.string().min(1).max(200) }),
});
`,
  );
  files.add(
    `src/features/${many}/tasks.ts`,
    `import { implementTask, type Task } from '../../jobs/task.ts';
import { ${definition} } from './${many}.ts';

/** The task \`${task}\`. An attempt that is cut off runs again, so what it does must be safe to repeat. */
export function ${definition}Task(): Task {
  return implementTask(${definition}, async ({ subject }, ctx) => {
    ctx.signal.throwIfAborted();
    ctx.progress(0.5, \`Working on \${subject}\`);
    return { subject };
  });
}
`,
  );
  files.add(
    `src/features/${many}/feature.ts`,
    `import type { Feature } from '../feature.ts';
import { ${definition} } from './${many}.ts';
import { ${definition}Task } from './tasks.ts';

/** Work in the background. */
export const ${many} = {
  name: '${many}',
  tasks: [{ definition: ${definition}, create: () => ${definition}Task() }],
} satisfies Feature;
`,
  );
  files.add(
    `test/features/${many}/tasks.test.ts`,
    `import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ${definition} } from '../../../src/features/${many}/${many}.ts';
import { ${definition}Task } from '../../../src/features/${many}/tasks.ts';
import { makeTaskContext } from '../../helpers/task-context.ts';
import { mustConnect } from '../../helpers/test-database.ts';

test('the task ${task} reports its progress and returns its subject', async (t) => {
  const ctx = makeTaskContext(mustConnect(t, { url: null }));
  assert.deepEqual(await ${definition}Task().run({ subject: 'one' }, ctx), { subject: 'one' });
  assert.deepEqual(ctx.reports, [{ fraction: 0.5, message: 'Working on one' }]);
});

test('the task ${task} rejects a payload without a subject', () => {
  assert.equal(${definition}.payload.safeParse({ subject: '' }).success, false);
});
`,
  );
}

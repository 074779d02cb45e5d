/**
 * `npm run new`: writes the files of a new part of the project, with its tests, and adds it where the project lists its
 * parts. The result passes `npm run check` and its tests before anything in it is changed.
 *
 *     npm run new -- feature projects name:text archived:boolean    table, store, five routes, scopes, events, metric, tests
 *     npm run new -- task cleanups                                  a feature with one background task
 *     npm run new -- layer request-size                             a layer of the pipeline
 *     npm run new -- setting APP_GREETING text                      a setting
 *     npm run new -- metric orders_shipped_total                    a counter
 *     npm run new -- migration add_color_to_projects                an empty migration with the next number
 *
 * A name that is invalid or taken is one sentence, and nothing is written.
 */

import { spawnSync } from 'node:child_process';
import { StartError } from '../errors.ts';
import { projectRoot } from '../project-root.ts';
import { addFeature } from './new/feature.ts';
import { addLayer } from './new/layer.ts';
import { addMetric } from './new/metric.ts';
import { addMigration } from './new/migration.ts';
import { openProjectFiles, type ProjectFiles } from './new/project-files.ts';
import { addSetting } from './new/setting.ts';
import { addTask } from './new/task.ts';

const usage = `Usage: npm run new -- feature NAME FIELD:TYPE... | task NAME | layer NAME | setting NAME TYPE | metric NAME | migration NAME
  TYPE of a field: text, integer, boolean, timestamp; of a setting: text, integer, boolean`;

type Generator = (files: ProjectFiles, ...args: string[]) => void;

const generators: Readonly<
  Record<string, { readonly run: Generator; readonly args: readonly [number, number] }>
> = {
  feature: { run: (files, name = '', ...fields) => addFeature(files, name, fields), args: [1, 30] },
  task: { run: (files, name = '') => addTask(files, name), args: [1, 1] },
  layer: { run: (files, name = '') => addLayer(files, name), args: [1, 1] },
  setting: { run: (files, name = '', type = '') => addSetting(files, name, type), args: [2, 2] },
  metric: { run: (files, name = '') => addMetric(files, name), args: [1, 1] },
  migration: { run: (files, name = '') => addMigration(files, name), args: [1, 1] },
};

try {
  run(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

function run([what = '', ...args]: readonly string[]): void {
  const generator = Object.hasOwn(generators, what) ? generators[what] : undefined;
  const [min, max] = generator?.args ?? [0, 0];
  if (generator === undefined || args.length < min || args.length > max) throw new StartError(usage);
  const files = openProjectFiles(projectRoot);
  generator.run(files, ...args);
  for (const path of files.write()) console.log(path);
  writeDocs();
}

/** Does what `npm run docs` does, in processes of its own, because this one was built before the files were written. */
function writeDocs(): void {
  const build = ['build.mjs', '--into', 'dist/tools', '--base', 'src', 'src/cli/docs.ts'];
  for (const args of [build, ['--enable-source-maps', 'dist/tools/cli/docs.js']]) {
    const { status } = spawnSync(process.execPath, args, { cwd: projectRoot, stdio: 'inherit' });
    if (status !== 0) throw new StartError('The files are written, but `npm run docs` fails with them.');
  }
}

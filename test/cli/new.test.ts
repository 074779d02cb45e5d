import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addFeature } from '../../src/cli/new/feature.ts';
import { addLayer } from '../../src/cli/new/layer.ts';
import { addMetric } from '../../src/cli/new/metric.ts';
import { addMigration } from '../../src/cli/new/migration.ts';
import { openProjectFiles } from '../../src/cli/new/project-files.ts';
import { addSetting } from '../../src/cli/new/setting.ts';
import { addTask } from '../../src/cli/new/task.ts';
import { StartError } from '../../src/errors.ts';
import { projectRoot } from '../../src/project-root.ts';

/** Tests what the command rejects; docs/your-own.md shows the command for each kind of part. */
describe('npm run new', () => {
  const files = () => openProjectFiles(projectRoot);
  const feature =
    (name: string, ...fields: string[]) =>
    () =>
      addFeature(files(), name, fields);
  const rejected: [what: string, run: () => void, sentence: RegExp][] = [
    [
      'a feature with a capital letter',
      feature('Projects', 'name:text'),
      /^"Projects" cannot name a feature/,
    ],
    ['a feature in the singular', feature('project', 'name:text'), /one lower-case plural word/],
    ['a feature of two words', feature('my-projects', 'name:text'), /cannot name a feature/],
    ['a feature with a path', feature('../projects', 'name:text'), /cannot name a feature/],
    ['a feature whose singular is reserved', feature('classes', 'name:text'), /"class" is a reserved word/],
    [
      'a feature named like a part of every feature',
      feature('databases', 'name:text'),
      /^"database" is a name in the code of every feature: use another name\.$/,
    ],
    [
      'a feature named like one of its files',
      feature('routes', 'name:text'),
      /^"routes" is a name in the code/,
    ],
    [
      'a feature that would hide a global type',
      feature('errors', 'name:text'),
      /"error" would clash with Error/,
    ],
    [
      'a feature that would hide another one',
      feature('proxies', 'name:text'),
      /"proxy" would clash with Proxy/,
    ],
    [
      'a layer that would hide a global function',
      () => addLayer(files(), 'request'),
      /would clash with Request/,
    ],
    ['a layer named like a parameter', () => addLayer(files(), 'next'), /in the code of every layer/],
    ['a feature that exists', feature('tasks', 'name:text'), /src\/features\/tasks exists already/],
    ['a feature of the identity family', feature('attempts', 'name:text'), /attempts already/],
    ['a feature whose table exists', feature('sessions', 'name:text'), /has a table sessions already/],
    ['a feature without fields', feature('projects'), /at least one field/],
    ['a field without a type', feature('projects', 'name'), /"name" has no known type: use one of name:text/],
    ['a field of an unknown type', feature('projects', 'name:string'), /no known type/],
    ['a field in camelCase', feature('projects', 'dueDate:text'), /"dueDate:text" is not a field/],
    ['a field of every table', feature('projects', 'version:integer'), /Every feature has version already/],
    ['a field with a reserved name', feature('projects', 'order:integer'), /"order" is a reserved word/],
    ['the same field twice', feature('projects', 'a:text', 'a:text'), /The field a is given twice/],
    ['a task that exists', () => addTask(files(), 'mails'), /src\/features\/mails exists already/],
    ['a layer in camelCase', () => addLayer(files(), 'requestSize'), /cannot name a layer/],
    ['a layer that exists', () => addLayer(files(), 'etag'), /uses the name etag already/],
    [
      'a setting without a prefix',
      () => addSetting(files(), 'GREETING', 'text'),
      /use upper-case words such as APP_/,
    ],
    [
      'a setting that exists',
      () => addSetting(files(), 'APP_PORT', 'integer'),
      /has the setting APP_PORT already/,
    ],
    ['a setting of an unknown type', () => addSetting(files(), 'APP_GREETING', 'list'), /"list" is no type/],
    ['a metric of no feature', () => addMetric(files(), 'orders_shipped_total'), /begins with no feature/],
    ['a metric without a unit', () => addMetric(files(), 'tasks_started'), /cannot name a counter/],
    ['a migration of one word', () => addMigration(files(), 'colors'), /use a verb and a noun/],
    ['a migration that exists', () => addMigration(files(), 'create_users'), /has this name already/],
  ];
  for (const [what, run, sentence] of rejected) {
    it(`npm run new rejects ${what} with one sentence`, () => {
      assert.throws(run, (error) => error instanceof StartError && sentence.test(error.message));
    });
  }

  for (const type of ['text', 'integer', 'boolean']) {
    it(`a setting of type ${type} uses a kind that its file imports`, () => {
      const edited = files();
      addSetting(edited, 'APP_GREETING', type);
      const text = edited.read('src/settings/groups/application.ts');
      const kind = /'APP_GREETING', (\w+)\(/.exec(text)?.[1] ?? assert.fail('no setting was added');
      assert.match(text.slice(0, text.indexOf("from '../kinds/kind.ts'")), new RegExp(`\\b${kind}\\b`));
    });
  }
});

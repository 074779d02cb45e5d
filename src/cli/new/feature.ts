/**
 * Adds a feature: a table whose rows belong to users, and five routes over it. A row is for its owner and for admins; for
 * others it does not exist (404). `feature-files.ts` has the templates, `feature-test.ts` that of the tests.
 */

import { StartError } from '../../errors.ts';
import { featureFiles } from './feature-files.ts';
import { featureTest } from './feature-test.ts';
import { readFields } from './field.ts';
import { addSql } from './migration.ts';
import { type ResourceName, readResourceName } from './name.ts';
import { insertSorted, type ProjectFiles } from './project-files.ts';

/** Throws a StartError for an invalid or taken name, or for an invalid field. */
export function addFeature(files: ProjectFiles, name: string, fieldTexts: readonly string[]): void {
  const resource = readFeatureName(files, name);
  const fields = readFields(fieldTexts);
  const { sql, ...sources } = featureFiles(resource, fields);
  listFeature(files, resource.many);
  for (const [file, content] of Object.entries(sources))
    files.add(`src/features/${resource.many}/${file}`, content);
  files.add(`test/features/${resource.many}/${resource.many}.test.ts`, featureTest(resource, fields));
  addSql(files, `create_${resource.many}`, sql);
}

/** Throws a StartError for a name that is invalid, or that a feature, a table or a path has already. */
export function readFeatureName(files: ProjectFiles, text: string): ResourceName {
  const name = readResourceName(text);
  if (files.exists(`src/features/${name.many}`)) {
    throw new StartError(`src/features/${name.many} exists already: use another name.`);
  }
  const table = new RegExp(`create table ${name.many}\\b`);
  const migration = files.list('sql').find((file) => table.test(files.read(`sql/${file}`)));
  if (migration !== undefined) {
    throw new StartError(`sql/${migration} has a table ${name.many} already: use another name.`);
  }
  const identity = files.list('src/features/identity');
  if (identity.includes(name.many) || name.many === 'docs') {
    throw new StartError(`The program has ${name.many} already: use another name.`);
  }
  return name;
}

/** Adds the one line of a feature to `src/features.ts`. */
export function listFeature(files: ProjectFiles, name: string): void {
  files.edit('src/features.ts', (text) =>
    insertSorted(text, /^export \{/, `export { ${name} } from './features/${name}/feature.ts';`),
  );
}

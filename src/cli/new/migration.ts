import { formatVersion, nextProjectVersion } from '../../db/migrations/migration-file.ts';
import { StartError } from '../../errors.ts';
import { readSnakeName } from './name.ts';
import type { ProjectFiles } from './project-files.ts';

/** Adds a migration that changes nothing yet. Throws a StartError for an invalid name. */
export function addMigration(files: ProjectFiles, name: string): void {
  readSnakeName(name, 'migration', 'add_color_to_projects');
  if (!name.includes('_')) {
    throw new StartError(
      `"${name}" cannot name a migration: use a verb and a noun such as add_color_to_projects.`,
    );
  }
  addSql(
    files,
    name,
    `-- Why this change is made, for those who read it later.

-- migrate: up
-- Replace this statement.
select 1;

-- migrate: down
-- Replace this statement, or remove it if the change cannot be reverted.
select 1;
`,
  );
}

/** Adds a migration with the next number of the project. Throws a StartError if there is one of this name. */
export function addSql(files: ProjectFiles, name: string, content: string): void {
  const migrations = files.list('sql').filter((file) => file.endsWith('.sql'));
  const same = migrations.find((file) => file.slice(5) === `${name}.sql`);
  if (same !== undefined) throw new StartError(`sql/${same} has this name already: use another name.`);
  files.add(`sql/${formatVersion(nextProjectVersion(migrations))}_${name}.sql`, content);
}

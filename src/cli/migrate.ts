/**
 * `npm run migrate -- <command>`: changes the schema of the database that the settings name.
 *
 *     up                  apply the pending migrations; with --into-existing, also to a database that has tables of
 *                         another program
 *     down [--to 0002]    revert the last migration, or all migrations after that number
 *     status              list applied and pending migrations
 *
 * `npm run new -- migration NAME` writes the next file. The embedded database is started for the command, or used if it is
 * already running. On failure, the command prints one sentence and exits with code 1.
 */

import { parseArgs } from 'node:util';
import { type MigrateOptions, migrateDown, migrateUp, migrationStatus } from '../db/migrations/migrate.ts';
import { StartError } from '../errors.ts';
import { loadSettings } from '../settings/load.ts';
import { commandLog, withDatabaseUrl } from './database-target.ts';

const usage = 'Usage: npm run migrate -- up [--into-existing] | down [--to <number>] | status';

try {
  for (const line of await runCommand(process.argv.slice(2))) process.stdout.write(`${line}\n`);
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

/** Runs the command and returns the lines to print. */
async function runCommand(argv: string[]): Promise<string[]> {
  const { command, to, intoExisting } = readArguments(argv);
  switch (command) {
    case 'up': {
      const names = await withTarget((target) =>
        migrateUp({ ...target, ...(intoExisting ? { adopts: 'any' } : {}) }),
      );
      return names.length === 0 ? ['No migrations are pending.'] : names.map((name) => `applied   ${name}`);
    }
    case 'down': {
      const names = await withTarget((target) =>
        migrateDown({ ...target, ...(to === undefined ? {} : { to }) }),
      );
      return names.length === 0
        ? ['No applied migrations to revert.']
        : names.map((name) => `reverted  ${name}`);
    }
    case 'status': {
      const states = await withTarget(migrationStatus);
      return states.map(({ state, name, appliedAt }) =>
        `${state.padEnd(8)}  ${name}  ${appliedAt?.toISOString() ?? ''}`.trimEnd(),
      );
    }
  }
}

type Command = 'up' | 'down' | 'status';

interface Arguments {
  readonly command: Command;
  readonly to: number | undefined;
  readonly intoExisting: boolean;
}

function readArguments(argv: string[]): Arguments {
  const { positionals, values } = parse(argv);
  const [command, ...others] = positionals;
  if (command === 'new')
    throw new StartError('`npm run new -- migration NAME` writes the next file of sql/: use that.');
  if ((command !== 'up' && command !== 'down' && command !== 'status') || others.length > 0)
    throw new StartError(usage);
  if (values.to !== undefined && (command !== 'down' || !/^\d{1,4}$/.test(values.to)))
    throw new StartError(usage);
  const { 'into-existing': intoExisting = false } = values;
  if (intoExisting && command !== 'up') throw new StartError(usage);
  return { command, to: values.to === undefined ? undefined : Number(values.to), intoExisting };
}

function parse(args: string[]) {
  try {
    const options = { to: { type: 'string' }, 'into-existing': { type: 'boolean' } } as const;
    return parseArgs({ args, allowPositionals: true, options });
  } catch (cause) {
    throw new StartError(usage, { cause });
  }
}

/** Runs `work` with the database of the settings. */
function withTarget<T>(work: (target: MigrateOptions) => Promise<T>): Promise<T> {
  const { settings } = loadSettings();
  const { databaseKind, databaseNamedBy: namedBy } = settings.application;
  const adopts = databaseKind === 'embedded' ? 'any' : 'empty';
  return withDatabaseUrl(settings, (url) => work({ url, log: commandLog, adopts, namedBy }));
}

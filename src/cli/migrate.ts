/** `npm run migrate -- up | down [--to NNNN] | status | new <name>`: the migrations of the configured database. */

import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { findRunningEmbedded, startEmbedded } from '../db/embedded.ts';
import { type MigrateOptions, migrateDown, migrateUp, migrationStatus } from '../db/migrate.ts';
import { defaultDirectory, newMigration } from '../db/migration-file.ts';
import { StartError } from '../errors.ts';
import { createLogger, type Logger } from '../observability/logger.ts';
import { loadSettings, type Settings } from '../settings/load.ts';

const usage = 'Usage: npm run migrate -- up | down [--to <number>] | status | new <name in words>';

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: { to: { type: 'string' } },
    allowPositionals: true,
    strict: false,
  });
  const [command, ...words] = positionals;
  if (command === 'new' && words.length > 0) {
    console.log(relative(process.cwd(), await newMigration(defaultDirectory, words.join('_'))));
    return 0;
  }
  const to = readVersion(values.to);
  const commands: Record<string, (options: MigrateOptions) => Promise<void>> = {
    up: async (options) => list('applied', await migrateUp(options)),
    down: async (options) =>
      list('taken back', await migrateDown(to === undefined ? options : { ...options, to })),
    status: printStatus,
  };
  const run = command === undefined ? undefined : commands[command];
  if (run === undefined || words.length > 0) {
    console.error(usage);
    return 1;
  }
  await withDatabase(loadSettings().settings, run);
  return 0;
}

function readVersion(text: string | boolean | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (typeof text !== 'string' || !/^\d{1,4}$/.test(text)) {
    throw new StartError('--to takes the number of a migration, such as 0001, or 0 for none.');
  }
  return Number(text);
}

/** The embedded database is started for the command, unless a running server has it open already. */
async function withDatabase(
  settings: Settings,
  run: (options: MigrateOptions) => Promise<void>,
): Promise<void> {
  const { databaseKind, databaseUrl, dataDir } = settings.application;
  const log = quietLog();
  if (databaseKind === 'none')
    throw new StartError('APP_DATABASE_URL is none: there is no database to migrate.');
  if (databaseKind === 'postgres') return run({ url: databaseUrl, log });
  const folder = join(dataDir, 'postgres');
  const running = await findRunningEmbedded(folder);
  if (running !== undefined) return run({ url: running, log });
  const embedded = await startEmbedded({ dataDir: folder, log });
  try {
    await run({ url: embedded.url, log });
  } finally {
    await embedded.stop();
  }
}

/** What goes wrong goes to standard error; what was done is printed by the command itself. */
function quietLog(): Logger {
  const write = (line: string) => void process.stderr.write(line);
  return createLogger({ level: 'WARNING', destination: { write, flush: () => Promise.resolve() } });
}

function list(what: string, names: readonly string[]): void {
  for (const name of names) console.log(`${what}: ${name}`);
  if (names.length === 0) console.log('Nothing to do.');
}

async function printStatus(options: MigrateOptions): Promise<void> {
  for (const { name, state, appliedAt } of await migrationStatus(options)) {
    console.log(
      `${state.padEnd(8)}  ${name}${appliedAt === undefined ? '' : `  ${appliedAt.toISOString()}`}`,
    );
  }
}

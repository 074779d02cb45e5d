/**
 * `npm run prove -- contract`: checks the OpenAPI document with third-party tools, against a real server with a real
 * database. The server has the routes of the program, and notes (test/helpers/notes.ts).
 *
 *     linted      Spectral (its own rules and OWASP's) and Redocly (recommended-strict) find nothing
 *     tried       every example is sent unchanged, and each response is as declared
 *     generated   clients made by orval and openapi-typescript compile under strict, and make a round trip
 *
 * The tools are large, so they have a package of their own, which is installed if it is missing.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPasswordHasher } from '../../src/auth/password.ts';
import type { Database } from '../../src/db/database.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { type RunningServer, startServer } from '../../src/program/start-server.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { createNotesTable, notesRoutes } from '../helpers/notes.ts';

const here = import.meta.dirname;
const folder = await mkdtemp(join(tmpdir(), 'strata-contract-'));
const documentFile = join(folder, 'openapi.json');

/** An admin, beside the users that the examples and the clients register. */
const admin = 'operator';

/** Programs that use the generated clients. They are compiled and run beside them. */
const clients = ['orval-client.mjs', 'openapi-fetch-client.mjs'];

/** The strictest settings of TypeScript, for the generated code and for our programs. */
const strictConfig = {
  compilerOptions: {
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    allowJs: true,
    checkJs: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    target: 'es2022',
    module: 'nodenext',
    lib: ['es2022', 'dom', 'dom.iterable'],
    typeRoots: [join(here, '..', '..', 'node_modules', '@types')],
    types: ['node'],
    skipLibCheck: true,
  },
  files: ['types.ts', 'orval.ts', ...clients],
};

if (!existsSync(join(here, 'node_modules', 'orval'))) {
  await run('install the tools', 'npm', [
    'ci',
    '--prefix',
    here,
    '--engine-strict=false',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
  ]);
}
try {
  const server = await start();
  await createNotesTable(server.database.sql)
    .then(() => addAdmin(server.database))
    .then(() => prove(server.url))
    .finally(() => server.stop());
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function prove(url: string): Promise<void> {
  await writeFile(documentFile, await (await fetch(`${url}/openapi.json`)).text());
  await writeFile(join(folder, 'orval.config.cjs'), orvalConfig(url));
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(strictConfig));
  await symlink(join(here, 'node_modules'), join(folder, 'node_modules'));
  for (const client of clients) await copyFile(join(here, client), join(folder, client));

  const spectral = [
    'lint',
    '--ruleset',
    join(here, 'spectral.yaml'),
    '--fail-severity',
    'hint',
    documentFile,
  ];
  await run('Spectral finds nothing', tool('spectral'), spectral);
  const redocly = ['lint', '--config', join(here, 'redocly.yaml'), documentFile];
  await run('Redocly finds nothing', tool('redocly'), redocly);
  await run('every example works', process.execPath, [join(here, 'examples.mjs'), documentFile, url, admin]);
  await run('orval makes a client', tool('orval'), ['--config', join(folder, 'orval.config.cjs')]);
  // By default it makes a field that has a default value a required one.
  const types = [documentFile, '--default-non-nullable=false', '--output', join(folder, 'types.ts')];
  await run('openapi-typescript makes types', tool('openapi-typescript'), types);
  await run('both compile under strict', tool('tsc'), ['--project', folder]);
  for (const client of clients) {
    await run(`${client} makes its round trip`, process.execPath, [
      '--import',
      'tsx',
      join(folder, client),
      url,
      admin,
    ]);
  }
}

function orvalConfig(url: string): string {
  const output = { target: './orval.ts', client: 'fetch', baseUrl: url };
  return `module.exports = ${JSON.stringify({ strata: { input: documentFile, output } })};\n`;
}

/** Starts the server as `npm start` does, on a free port, with an empty embedded database. */
async function start(): Promise<RunningServer> {
  const { settings } = loadSettings({
    env: {
      APP_ENVIRONMENT: 'local',
      APP_PORT: '0',
      APP_DATA_DIR: folder,
      SECURITY_RATE_LIMIT_PER_MINUTE: '10000',
      SECURITY_RATE_LIMIT_PER_HOUR: '10000',
      SECURITY_RATE_LIMIT_REGISTRATIONS_PER_HOUR: '10000',
    },
    envFile: null,
  });
  const destination = {
    write: (line: string) => void process.stderr.write(line),
    flush: () => Promise.resolve(),
  };
  const log = createLogger({ level: 'ERROR', destination });
  const server: RunningServer = await startServer({
    ...{ settings, log, extraRoutes: notesRoutes(() => server.database) },
  });
  return server;
}

/** Inserts the admin with the password of the examples, and an id far from theirs, which start at 1. */
async function addAdmin({ sql }: Database): Promise<void> {
  const hash = await createPasswordHasher().hash('correct horse battery staple');
  await sql`
    insert into users (id, username, email, password_hash, role) overriding system value
    values (1000000, ${admin}, 'operator@example.org', ${hash}, 'admin')`;
}

function tool(name: string): string {
  return join(here, 'node_modules', '.bin', name);
}

/** Runs a command and prints what it showed. Throws an Error with its output if it fails. */
async function run(what: string, command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, {
    cwd: here,
    env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`Failed: ${what}.\n${output}`);
  console.log(`ok  ${what}`);
}

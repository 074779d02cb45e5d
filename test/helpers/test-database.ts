import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import postgres from 'postgres';
import { connectDatabase, type Database, type DatabaseOptions } from '../../src/db/database.ts';
import { captureLog } from './captured-log.ts';

/**
 * The variable in which `test/run.ts` passes the URL of the run's PostgreSQL to the test files. If it is set for `npm test`, the
 * run uses that server and starts none.
 */
export const serverVariable = 'STRATA_TEST_SERVER';

/** The variable with the name of the database with all migrations, from which the databases of the tests are copied. */
export const templateVariable = 'STRATA_TEST_TEMPLATE';

/** Registers cleanup: the context of a test, or `{ after }` of `node:test` for the whole file. */
export interface After {
  after(work: () => Promise<void>): void;
}

/** Returns the URL of the run's PostgreSQL as its superuser. Throws if the runner did not start the file. */
export function testServerUrl(): string {
  const url = process.env[serverVariable];
  if (url === undefined) {
    throw new Error('This test needs a database: run it as `npm test -- <part of its path>`.');
  }
  return url;
}

const beforeDrops = new Map<string, (() => void)[]>();

/**
 * Registers work to be done before the database of `url` is dropped. PostgreSQL waits with the drop for a session that is
 * still signing in, for up to a minute, so a proxy closes its connections first.
 */
export function beforeDrop(url: string, work: () => void): void {
  const name = new URL(url).pathname.slice(1);
  beforeDrops.set(name, [...(beforeDrops.get(name) ?? []), work]);
}

/**
 * Creates a database, by default with all migrations applied, and drops it after the test. Returns its URL. An empty
 * database can have a `locale`, as in `create database`.
 */
export async function mustCreateDatabase(
  t: After,
  options: { readonly empty?: boolean; readonly locale?: string } = {},
): Promise<string> {
  const server = testServerUrl();
  const name = `test_${randomBytes(8).toString('hex')}`;
  const template = options.empty === true ? 'template0' : process.env[templateVariable];
  const admin = adminOf(server);
  await admin.run(`create database ${name} template ${template} strategy file_copy ${options.locale ?? ''}`);
  t.after(() => {
    for (const work of beforeDrops.get(name) ?? []) work();
    return admin.run(`drop database if exists ${name} with (force)`);
  });
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

/** Creates a database and connects to it like the program. Both end after the test. */
export async function mustOpenTestDatabase(
  t: After,
  options: Partial<DatabaseOptions> = {},
): Promise<Database & { readonly url: string }> {
  const url = await mustCreateDatabase(t);
  return { ...mustConnect(t, { url, ...options }), url };
}

/** Connects like the program, until the end of the test. */
export function mustConnect(t: After, options: Partial<DatabaseOptions>): Database {
  const database = connectDatabase({
    url: null,
    poolSize: 5,
    statementTimeoutMs: 10_000,
    connectTimeoutSeconds: 5,
    slowQueryMs: 1_000,
    echo: false,
    log: captureLog().log,
    applicationName: 'strata-test',
    ...options,
  });
  t.after(() => database.close(1));
  return database;
}

interface Admin {
  run(statement: string): Promise<void>;
}

let admin: Admin | undefined;

/** Returns the one administrative connection of this process, which does not keep the process running. */
function adminOf(server: string): Admin {
  admin ??= createAdmin(server);
  return admin;
}

function createAdmin(server: string): Admin {
  const { hostname, port } = new URL(server);
  let socket: Socket | undefined;
  const sql = postgres(server, {
    ...{ max: 1, onnotice: () => {} },
    // Its timer would keep the process running.
    max_lifetime: null,
    // An option of the package that its types do not have.
    ...{
      socket: async () => {
        socket = connect({ host: hostname, port: Number(port) });
        await once(socket, 'connect');
        return socket;
      },
    },
  });
  let running = 0;
  return {
    async run(statement) {
      running += 1;
      socket?.ref();
      try {
        await sql.unsafe(statement);
      } finally {
        running -= 1;
        if (running === 0) socket?.unref();
      }
    },
  };
}

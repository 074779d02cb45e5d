/**
 * `npm run user -- <command>`: manages accounts from the command line, without signing in.
 *
 *     create --username ada --email ada@example.org [--admin] [--password-stdin | --generate-password]
 *     role <username> user|admin
 *     list [--admins]
 *     end-sessions <username>
 *
 * `create --admin` creates the first admin of an installation. A password is asked for, read from standard input, or
 * generated and shown once. It is never an argument, because every user of the machine can read arguments.
 * `end-sessions` does not affect API keys. The embedded database is started for the command, or used if it is already
 * running. On failure, the command prints one sentence and exits with code 1.
 */

import { parseArgs } from 'node:util';
import { type Role, roles } from '../auth/principal.ts';
import type { Database } from '../db/database.ts';
import { describeUnavailable, isUnavailable } from '../db/database-error.ts';
import { pendingMigrations } from '../db/migrations/migrate.ts';
import { AppError, StartError } from '../errors.ts';
import { connectFromSettings } from '../program/parts/connect-from-settings.ts';
import { loadSettings, type Settings } from '../settings/load.ts';
import { changeRole, createUserAccount, endSessions, type ListedUser, listAccounts } from './accounts.ts';
import { askNewPassword, readPassword } from './ask-password.ts';
import { commandLog, withDatabaseUrl } from './database-target.ts';

const usage = `Usage: npm run user -- create --username <name> --email <address> [--admin] [--password-stdin | --generate-password]
       npm run user -- role <username> user|admin
       npm run user -- list [--admins]
       npm run user -- end-sessions <username>`;

try {
  const { settings } = loadSettings();
  const command = await readCommand(process.argv.slice(2));
  await withDatabaseUrl(settings, (url) => runOn(url, settings, command));
} catch (error) {
  if (!(error instanceof StartError || error instanceof AppError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

/** A command with all of its arguments; only the database is missing. */
type Command = (database: Database, settings: Settings) => Promise<void>;

async function readCommand(argv: string[]): Promise<Command> {
  const { positionals, values } = parse(argv);
  const [name, ...rest] = positionals;
  const flags = Object.keys(values);
  const [username = '', role] = rest;
  if (name === 'create' && rest.length === 0 && !flags.includes('admins')) {
    const { admin = false, 'generate-password': generate = false } = values;
    if (values.username === undefined || values.email === undefined) throw new StartError(usage);
    const password = generate ? undefined : await obtainPassword(values['password-stdin'] ?? false);
    const account = { username: values.username, email: values.email, password };
    return (database, { application: { projectName: service } }) =>
      create(database, { ...account, role: admin ? 'admin' : 'user', service });
  }
  if (name === 'role' && rest.length === 2 && flags.length === 0 && isRole(role)) {
    return (database, settings) => setRole(database, settings, username, role);
  }
  if (name === 'list' && rest.length === 0 && flags.every((flag) => flag === 'admins')) {
    return (database) => list(database, values.admins ? 'admin' : null);
  }
  if (name === 'end-sessions' && rest.length === 1 && flags.length === 0) {
    return (database, settings) => end(database, settings, username);
  }
  throw new StartError(usage);
}

function parse(args: string[]) {
  const flag = { type: 'boolean' } as const;
  const value = { type: 'string' } as const;
  const passwords = { 'password-stdin': flag, 'generate-password': flag };
  const options = { username: value, email: value, admin: flag, admins: flag, ...passwords };
  try {
    const { positionals, values } = parseArgs({ args, allowPositionals: true, options });
    if (values['password-stdin'] && values['generate-password']) throw new StartError(usage);
    return { positionals, values };
  } catch (cause) {
    throw new StartError(usage, { cause });
  }
}

function isRole(text: string | undefined): text is Role {
  return roles.some((role) => role === text);
}

async function obtainPassword(fromInput: boolean): Promise<string> {
  if (fromInput) return readPassword(process.stdin);
  if (process.stdin.isTTY) return askNewPassword({ input: process.stdin, output: process.stderr });
  throw new StartError(
    'Standard input is not a terminal, so the password cannot be asked for: pipe it in with --password-stdin, or use --generate-password.',
  );
}

async function runOn(url: string, settings: Settings, command: Command): Promise<void> {
  const database = connectFromSettings(settings, {
    url,
    poolSize: 1,
    log: commandLog,
    part: 'user',
  });
  try {
    const pending = await pendingMigrations(database.sql);
    if (pending.length > 0) {
      throw new StartError(`${pending.length} migrations are pending: run \`npm run migrate -- up\` first.`);
    }
    await command(database, settings);
  } catch (error) {
    if (!(error instanceof AppError) || !isUnavailable(error)) throw error;
    const { databaseNamedBy } = settings.application;
    throw new StartError(describeUnavailable(error, databaseNamedBy), { cause: error });
  } finally {
    await database.close(1);
  }
}

async function create(database: Database, wanted: Parameters<typeof createUserAccount>[1]): Promise<void> {
  const { account, generated } = await createUserAccount(database, wanted);
  print(`Created the ${account.role} ${account.username} (number ${account.id}).`);
  if (generated !== undefined) print(`The password (shown only once): ${generated}`);
}

async function setRole(database: Database, settings: Settings, username: string, role: Role): Promise<void> {
  const { account, changed, adminsLeft } = await changeRole(database, username, role);
  const fact = `${account.username} is ${role === 'admin' ? 'an admin' : 'a user'}`;
  print(
    changed
      ? `${fact} now. Running servers apply this ${within(settings)}.`
      : `${fact} already. Nothing was changed.`,
  );
  if (!adminsLeft) print('There is no admin left: use `role <username> admin` to appoint one.');
}

async function list(database: Database, role: Role | null): Promise<void> {
  for await (const account of listAccounts(database, role)) print(describe(account));
}

function describe({ id, role, created_at, username, email, email_verified }: ListedUser): string {
  const since = created_at.toISOString().slice(0, 10);
  const verified = email_verified ? '' : ' (not verified)';
  return `${String(id).padStart(6)}  ${role.padEnd(5)}  ${since}  ${username.padEnd(20)}  ${email}${verified}`;
}

async function end(database: Database, settings: Settings, username: string): Promise<void> {
  const { account, count } = await endSessions(database, username);
  const sessions = count === 1 ? '1 session' : `${count} sessions`;
  print(`Ended ${sessions} of ${account.username}; running servers reject them ${within(settings)}.`);
}

function within({ security }: Settings): string {
  const seconds = security.sessionRecheckSeconds;
  return seconds === 0 ? 'immediately' : `within ${seconds} seconds`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

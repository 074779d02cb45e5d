/**
 * The text that a program prints when it is ready, for a person at a terminal: where it answers, which database it uses,
 * and the warnings of the start, which would otherwise be lost among the log lines. It is printed last.
 *
 *     Strata 0.1.0 (local)
 *
 *       API         http://127.0.0.1:8000/api/v1
 *       Database    shop on db.example.org:5432 (DATABASE_URL in the environment)
 */

import { relative } from 'node:path';
import { readConnectionUrl } from '../db/driver/connection-url.ts';
import type { LogFields, Logger } from '../observability/logger.ts';
import type { SettingOrigin, Settings } from '../settings/load.ts';
import { nameOrigin } from '../settings/sources.ts';
import { jobsLink } from './parts/local-token.ts';

export interface BannerRow {
  readonly label: string;
  readonly text: string;
  /** An explanation, on the next line if the first one has no room for it. */
  readonly note?: string;
}

const maxColumns = 80;
const labelColumns = 12;
const indent = '  ';

/**
 * Prints the banner on standard error, so that standard output has only log lines. In staging and production, where all
 * output is parsed, nothing is printed.
 */
export function printBanner(
  { application }: Settings,
  rows: readonly BannerRow[],
  warnings: readonly string[],
): void {
  const { projectName, projectVersion, environment } = application;
  if (environment !== 'local' && environment !== 'test') return;
  const title = `${projectName} ${projectVersion} (${environment})`;
  process.stderr.write(renderBanner(title, rows, warnings));
}

/** Returns the text, with lines of at most 80 columns; only a longer address makes a longer line. */
export function renderBanner(title: string, rows: readonly BannerRow[], warnings: readonly string[]): string {
  const lines = rows.flatMap(({ label, text, note }) => {
    const line = `${indent}${label.padEnd(labelColumns)}${text}`;
    if (note === undefined) return [line];
    if (line.length + note.length + 3 <= maxColumns) return [`${line} (${note})`];
    const column = ' '.repeat(indent.length + labelColumns);
    return [line, ...wrap(`(${note})`, maxColumns - column.length).map((part) => column + part)];
  });
  const repeated = warnings.flatMap((warning) => [
    '',
    ...wrap(`Warning: ${warning}`, maxColumns - indent.length).map((part) => indent + part),
  ]);
  return `\n${[title, '', ...lines, ...repeated].join('\n')}\n\n`;
}

/** Breaks a text between words. A longer word is a line of its own. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** Names the page of the management port and the link to the jobs dashboard, if there is such a port. */
export function managementRows(managementUrl: string | null, settings: Settings): BannerRow[] {
  if (managementUrl === null) return [];
  return [
    { label: 'Management', text: managementUrl, note: 'jobs, metrics, workers, probes' },
    { label: 'Jobs', text: jobsLink(managementUrl, settings) },
  ];
}

/** Names the database by its server and name, without the password, and the variable that selected it. */
export function databaseRow(
  { application }: Settings,
  origins: readonly SettingOrigin[],
  url: string | null,
): BannerRow {
  const label = 'Database';
  const source = describeOrigin(origins.find(({ name }) => name === 'APP_DATABASE_URL'));
  if (url === null) return { label, text: 'none', note: source };
  const { hosts, database, user } = readConnectionUrl(url);
  const servers = hosts.map(({ host, port }) => (host.startsWith('/') ? host : `${host}:${port}`));
  const text = `${database ?? user ?? 'the default database'} on ${servers.join(', ')}`;
  if (application.databaseKind !== 'embedded') return { label, text, note: source };
  return { label, text, note: `embedded, in ${relative('', application.dataDir)}/postgres; ${source}` };
}

function describeOrigin(found: SettingOrigin | undefined): string {
  if (found === undefined || found.origin === 'default') return 'APP_DATABASE_URL is not set';
  return `${found.alias ?? found.name} ${nameOrigin(found.origin)}`;
}

/** The maximum number of warnings in a banner. The logger is used after the start too, and must not record forever. */
const maxAdvices = 20;

/** Returns a logger that also adds the advice of each warning to `advices`. */
export function recordAdvice(log: Logger, advices: string[]): Logger {
  return {
    ...log,
    named: (name) => recordAdvice(log.named(name), advices),
    bind: (fields) => recordAdvice(log.bind(fields), advices),
    warning(event, fields: LogFields = {}) {
      if (typeof fields.advice === 'string' && advices.length < maxAdvices) advices.push(fields.advice);
      log.warning(event, fields);
    },
  };
}

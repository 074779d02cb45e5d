/**
 * Settings: turns the environment into values that are typed, checked, complete and frozen.
 *
 *     defaults  <  .env  <  environment  <  flags
 *         \________________|________________/
 *          one text per variable, and its origin; a secret may be in a file
 *                          |
 *      its kind parses the text, or explains what is valid
 *                          |
 *        checks that combine several variables
 *                          |
 *         frozen Settings, or all errors at once
 *
 * Each variable is declared once, in the file of its group (`table.ts` combines the four groups). The types, the
 * documentation and the output of `npm run config` follow from the declaration. Only this folder reads `process.env`.
 *
 * There is no global settings object to import. The program loads its settings once, at start, and passes them down; a
 * test creates its own.
 */

import { StartError } from '../errors.ts';
import { findErrors } from './checks.ts';
import { computeApplication, computeSecurity, computeServer, computeTasks } from './computed.ts';
import { printValue } from './kinds/kind.ts';
import { maskPasswords, maskUrlPassword, quote } from './quote.ts';
import {
  type FoundText,
  findText,
  findUnknown,
  nameOrigin,
  type Origin,
  openSources,
  type SettingsSource,
  type SourceFile,
} from './sources.ts';
import {
  type DeclaredVariable,
  partialSchema,
  type SettingsValues,
  settingsSchema,
  variables,
} from './table.ts';
import { findWarnings } from './warnings.ts';

export type { Origin, SettingsSource } from './sources.ts';

/** All settings, in camel case: `settings.server.port`. Sizes are in bytes, times in the unit that the name ends with. */
export type Settings = ReturnType<typeof freezeSettings>;

/** One variable as it is in effect. */
export interface SettingOrigin {
  readonly name: string;
  /** The value as it is written in the environment, with secrets masked. */
  readonly value: string;
  readonly origin: Origin;
  /** The alias by which it was set. */
  readonly alias?: string;
  /** The file that contains it, and the variable that names the file. */
  readonly file?: SourceFile;
}

export interface LoadedSettings {
  readonly settings: Settings;
  /** Every variable, in the order of the documentation. */
  readonly origins: readonly SettingOrigin[];
  /** Warnings for the operator. They do not prevent the start. */
  readonly warnings: readonly string[];
}

/**
 * Loads the settings. Throws a StartError whose message has one line per error, with the variable, its value and what
 * is valid. The message never contains secrets or passwords of URLs.
 */
export function loadSettings(source: SettingsSource = {}): LoadedSettings {
  const sources = openSources(source);
  const errors: string[] = [];
  const found = new Map(variables.map((variable) => [variable, findText(variable, sources, errors)]));

  const invalid = new Set<DeclaredVariable>();
  for (const [variable, { isUnknown }] of found) if (isUnknown === true) invalid.add(variable);
  const parsed = settingsSchema.safeParse(textsByGroup(found));
  for (const issue of parsed.error?.issues ?? []) {
    const variable = variables.find(({ group, key }) => group === issue.path[0] && key === issue.path[1]);
    const text = variable && found.get(variable);
    if (variable === undefined || text === undefined)
      throw new Error(`A setting has no variable: ${issue.path}`);
    invalid.add(variable);
    errors.push(describeError(variable, text, issue.message));
  }

  const read = [...found].filter(([variable]) => !invalid.has(variable));
  const values = partialSchema.parse(textsByGroup(read));
  const set = new Set(read.flatMap(([{ name }, { origin }]) => (origin === 'default' ? [] : [name])));
  const unknown = findUnknown(sources);
  errors.push(...findErrors(values, (name) => set.has(name)), ...unknown.errors);
  if (!parsed.success || errors.length > 0) throw new StartError(errors.join('\n'));

  return {
    settings: freezeSettings(parsed.data, findDatabaseUrl(found)),
    origins: read.map(([variable, { origin, alias, file }]) => ({
      name: variable.name,
      value: showValue(variable, Object.entries(parsed.data[variable.group])),
      origin,
      ...(alias === undefined ? {} : { alias }),
      ...(file === undefined ? {} : { file }),
    })),
    warnings: [...unknown.warnings, ...findWarnings(values, (name) => set.has(name))],
  };
}

function findDatabaseUrl(found: Iterable<readonly [DeclaredVariable, FoundText]>): FoundText {
  for (const [{ name }, each] of found) if (name === 'APP_DATABASE_URL') return each;
  throw new Error('APP_DATABASE_URL is not declared.');
}

function freezeSettings(values: SettingsValues, databaseUrl: FoundText) {
  const { application } = values;
  return Object.freeze({
    application: Object.freeze({ ...application, ...computeApplication(application, databaseUrl) }),
    security: Object.freeze(computeSecurity(values)),
    server: Object.freeze(computeServer(values)),
    tasks: Object.freeze(computeTasks(values)),
  });
}

/** Returns the input of the schema: for each group, the text of each key. */
function textsByGroup(
  found: Iterable<readonly [DeclaredVariable, FoundText]>,
): Record<string, Record<string, string>> {
  const groups: Record<string, Record<string, string>> = {
    application: {},
    security: {},
    server: {},
    tasks: {},
  };
  for (const [{ group, key }, { text }] of found) groups[group] = { ...groups[group], [key]: text };
  return groups;
}

/** The hint of a kind may quote the value, so the error of a secret contains only what is valid. */
function describeError(
  variable: DeclaredVariable,
  { text, origin, alias, file }: FoundText,
  accepts: string,
): string {
  const name = alias === undefined ? variable.name : `${alias} (an alias of ${variable.name})`;
  return variable.secret === undefined
    ? `${name} is ${quote(text)} ${nameOrigin(origin)}, but must be ${accepts}.`
    : `${name} has an invalid value ${file === undefined ? nameOrigin(origin) : `in the file that ${file.variable} names`} (not shown, because it may contain a password): it must be ${
        variable.secret === 'value' ? variable.accepts : accepts
      }.`;
}

function showValue(variable: DeclaredVariable, values: readonly (readonly [string, unknown])[]): string {
  const value = printValue(values.find(([key]) => key === variable.key)?.[1]);
  if (variable.secret === 'value') return value === variable.default ? value : '***';
  return variable.secret === 'url-password' ? maskUrlPassword(value) : maskPasswords(value);
}

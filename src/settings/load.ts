/**
 * Settings: from the environment to values that are typed, checked, frozen and complete.
 *
 *     defaults  <  .env  <  environment  <  flags
 *         \________________|________________/
 *            one text a variable, and its origin
 *                          |
 *       its kind reads the text, or says what it takes
 *                          |
 *     the checks that look at several variables at once
 *                          |
 *         frozen Settings, or every fault at once
 *
 * Each variable is declared once, in the file of its group (`table.ts` has the four); the types, the documentation and
 * the table of `npm run config` come from there. This folder alone reads the environment of the process.
 *
 * There is no cached settings object to import from elsewhere. The program loads its settings once, at start, and
 * passes them down; a test makes its own.
 */

import { StartError } from '../errors.ts';
import { findErrors, findWarnings } from './checks.ts';
import { computeApplication, computeSecurity, computeServer, computeTasks } from './computed.ts';
import { printValue } from './kinds/kind.ts';
import { maskPasswords, maskUrlPassword, quote } from './quote.ts';
import {
  type Found,
  findText,
  findUnknown,
  nameOrigin,
  type Origin,
  openSources,
  type SettingsSource,
} from './sources.ts';
import {
  type DeclaredVariable,
  partialSchema,
  type SettingsValues,
  settingsSchema,
  variables,
} from './table.ts';

export type { Origin, SettingsSource } from './sources.ts';

/** All settings, in camel case: `settings.server.port`. Sizes are in bytes, times in the unit of their name. */
export type Settings = ReturnType<typeof freezeSettings>;

/** One variable as it is in effect. */
export interface SettingOrigin {
  readonly name: string;
  /** The value in the notation of the environment; what is secret in it is masked. */
  readonly value: string;
  readonly origin: Origin;
  /** The other name that it was set by. */
  readonly alias?: string;
}

export interface LoadedSettings {
  readonly settings: Settings;
  /** Every variable, in the order of the documentation. */
  readonly origins: readonly SettingOrigin[];
  /** Sentences that the operator should read. */
  readonly warnings: readonly string[];
}

/**
 * Loads the settings. Throws a StartError whose message has one line for each fault, with the variable, what it got
 * and what it takes; secrets, and passwords in URLs, never stand in it.
 */
export function loadSettings(source: SettingsSource = {}): LoadedSettings {
  const sources = openSources(source);
  const errors: string[] = [];
  const found = new Map(variables.map((variable) => [variable, findText(variable, sources, errors)]));

  const unread = new Set<DeclaredVariable>();
  const parsed = settingsSchema.safeParse(textsByGroup(found));
  for (const issue of parsed.error?.issues ?? []) {
    const variable = variables.find(({ group, key }) => group === issue.path[0] && key === issue.path[1]);
    const text = variable && found.get(variable);
    if (variable === undefined || text === undefined)
      throw new Error(`A setting has no variable: ${issue.path}`);
    unread.add(variable);
    errors.push(describeError(variable, text, issue.message));
  }

  const read = [...found].filter(([variable]) => !unread.has(variable));
  const values = partialSchema.parse(textsByGroup(read));
  const set = new Set(read.flatMap(([{ name }, { origin }]) => (origin === 'default' ? [] : [name])));
  errors.push(...findErrors(values, (name) => set.has(name)));
  if (!parsed.success || errors.length > 0) throw new StartError(errors.join('\n'));

  return {
    settings: freezeSettings(parsed.data),
    origins: read.map(([variable, { origin, alias }]) => ({
      name: variable.name,
      value: showValue(variable, Object.entries(parsed.data[variable.group])),
      origin,
      ...(alias === undefined ? {} : { alias }),
    })),
    warnings: [...findUnknown(sources), ...findWarnings(values, (name) => set.has(name))],
  };
}

function freezeSettings(values: SettingsValues) {
  const { application } = values;
  return Object.freeze({
    application: Object.freeze({ ...application, ...computeApplication(application) }),
    security: Object.freeze(computeSecurity(values)),
    server: Object.freeze(computeServer(values)),
    tasks: Object.freeze(computeTasks(values)),
  });
}

/** What the schema reads: for each group, the text of each of its keys. */
function textsByGroup(
  found: Iterable<readonly [DeclaredVariable, Found]>,
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

/** A reader's hint may quote what it read, so a secret has only its kind. */
function describeError(variable: DeclaredVariable, { text, origin, alias }: Found, accepts: string): string {
  const name = alias === undefined ? variable.name : `${alias} (another name of ${variable.name})`;
  const got =
    variable.secret === undefined ? quote(text) : 'a value that is not shown, for it may hold a password,';
  return `${name} got ${got} ${nameOrigin(origin)}, but takes ${variable.secret === 'value' ? variable.accepts : accepts}.`;
}

function showValue(variable: DeclaredVariable, values: readonly (readonly [string, unknown])[]): string {
  const value = printValue(values.find(([key]) => key === variable.key)?.[1]);
  if (variable.secret === 'value') return value === variable.default ? value : '***';
  return variable.secret === 'url-password' ? maskUrlPassword(value) : maskPasswords(value);
}

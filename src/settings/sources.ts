/**
 * The sources of a variable's text: the command line, the environment, `.env`, or the default, in this order. A
 * variable that is empty or blank counts as not set, because compose files and CI systems pass missing values as empty
 * texts. A variable can have aliases: within one source they must not contradict each other, and between sources the
 * higher source wins, whichever name it uses.
 */

import { readEnvFile } from './env-file.ts';
import { nearestName } from './nearest-name.ts';
import { type DeclaredVariable, variables } from './table.ts';

export type Origin = 'default' | '.env' | 'environment' | 'flag';

export type Texts = Readonly<Record<string, string | undefined>>;

export interface Source {
  readonly origin: Origin;
  readonly texts: Texts;
}

export interface SettingsSource {
  /** The environment; `process.env` by default. */
  readonly env?: Texts;
  /** The file of variables. By default `.env` in the working directory, if it exists; null reads no file. */
  readonly envFile?: string | null;
  /** Variables set on the command line. They have the highest precedence. */
  readonly overrides?: Readonly<Record<string, string>>;
}

export interface FoundText {
  readonly text: string;
  readonly origin: Origin;
  /** The alias by which it was set. */
  readonly alias?: string;
}

/** Returns the working directory as the shell names it: with the symbolic links by which it was reached. */
export function readShellFolder(): string | undefined {
  return process.env.PWD;
}

/** Opens the sources, the highest first. Throws a StartError if the file cannot be read. */
export function openSources({
  env = process.env,
  envFile,
  overrides = {},
}: SettingsSource): readonly Source[] {
  const file = envFile === null ? undefined : readEnvFile(envFile ?? '.env', envFile === undefined);
  return [
    { origin: 'flag', texts: overrides },
    { origin: 'environment', texts: env },
    { origin: '.env', texts: file ?? {} },
  ];
}

/** Returns the text of a variable. Adds a sentence to `errors` if two of its names contradict each other. */
export function findText(
  variable: DeclaredVariable,
  sources: readonly Source[],
  errors: string[],
): FoundText {
  for (const { origin, texts } of sources) {
    const [first, ...others] = [variable.name, ...(variable.aliases ?? [])].flatMap((name) => {
      const text = textOf(texts, name);
      return text === '' ? [] : [{ name, text }];
    });
    if (first === undefined) continue;
    const other = others.find(({ text }) => text !== first.text);
    if (other !== undefined) {
      errors.push(
        `${first.name} and ${other.name} are both set ${nameOrigin(origin)}, with different values: remove one of them.`,
      );
    }
    return { text: first.text, origin, ...(first.name === variable.name ? {} : { alias: first.name }) };
  }
  return { text: variable.default, origin: 'default' };
}

function textOf(texts: Texts, name: string): string {
  return Object.hasOwn(texts, name) ? (texts[name] ?? '').trim() : '';
}

/** Returns the phrase for an origin in a sentence. */
export function nameOrigin(origin: Origin): string {
  return {
    default: 'by default',
    '.env': 'in .env',
    environment: 'in the environment',
    flag: 'on the command line',
  }[origin];
}

const names = variables.map(({ name }) => name);
const known: ReadonlySet<string> = new Set(variables.flatMap(({ name, aliases = [] }) => [name, ...aliases]));
const prefix = /^(?:APP|SECURITY)_/;
const switchedOff = /^(?:false|0|off|no)$/i;

export interface UnknownVariables {
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Finds variables that have one of our prefixes but are not a setting. With `SECURITY_`, the operator relies on a protection
 * that this program would not provide, so that is an error, unless the value switches it off.
 */
export function findUnknown(sources: readonly Source[]): UnknownVariables {
  const errors: string[] = [];
  const warnings: string[] = [];
  for (const { origin, texts } of sources) {
    for (const name of Object.keys(texts)) {
      const text = textOf(texts, name);
      if (text === '' || known.has(name) || !prefix.test(name.toUpperCase())) continue;
      const where = `${name}, set ${nameOrigin(origin)},`;
      const meant = nearestTo(name);
      if (!name.toUpperCase().startsWith('SECURITY_')) {
        warnings.push(
          `${where} is ignored: ${meant === undefined ? noSuchSetting : `did you mean ${meant}`}.`,
        );
      } else if (!switchedOff.test(text)) {
        const advice =
          meant === undefined ? `${noSuchSetting}; remove it, or set it to false` : `did you mean ${meant}`;
        errors.push(`${where} is not a setting and protects nothing: ${advice}.`);
      }
    }
  }
  return { errors, warnings };
}

const noSuchSetting = 'this version has no such setting';

function nearestTo(name: string): string | undefined {
  // Compared without the prefix, because using the wrong one of the two prefixes is a likely mistake.
  const bare = names.map((candidate) => candidate.replace(prefix, ''));
  const nearest = nearestName(name.toUpperCase().replace(prefix, ''), bare);
  return nearest === undefined ? undefined : names[bare.indexOf(nearest)];
}

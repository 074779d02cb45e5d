/**
 * The sources of a variable's text: the command line, the environment, `.env`, or the default, in this order. A
 * variable that is empty or blank counts as not set, because compose files and CI systems pass missing values as empty
 * texts. A variable can have aliases: within one source they must not contradict each other, and between sources the
 * higher source wins, whichever name it uses. A secret can also be in a file (secret-file.ts).
 */

import { readEnvFile } from './env-file.ts';
import { nearestName } from './nearest-name.ts';
import { fileVariableOf, readSecretFile, variableOfFile } from './secret-file.ts';
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
  /** The file that contains it, and the variable that names the file. */
  readonly file?: SourceFile;
  /** Whether its file could not be read, so that the text is unknown. */
  readonly isUnknown?: true;
}

export interface SourceFile {
  readonly variable: string;
  readonly path: string;
}

/** Returns the working directory as the shell names it: with the symbolic links by which it was reached. */
export function readShellFolder(): string | undefined {
  return process.env.PWD;
}

/** Returns the environment of this process with further variables, for a child process. */
export function extendEnvironment(variables: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...variables };
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

/**
 * Returns the text of a variable, and reads its file if the variable is a secret that is in one. Adds a sentence to `errors`
 * if two of its names contradict each other, or if the file cannot be used.
 */
export function findText(
  variable: DeclaredVariable,
  sources: readonly Source[],
  errors: string[],
): FoundText {
  for (const { origin, texts } of sources) {
    const [first, ...others] = settingNames(variable).flatMap((each) => {
      const text = textOf(texts, each.setBy);
      return text === '' ? [] : [{ ...each, text }];
    });
    if (first === undefined) continue;
    const other = others.find(({ text, isFile }) => isFile !== first.isFile || text !== first.text);
    if (other !== undefined) {
      const how = other.isFile === first.isFile ? ', with different values' : '';
      errors.push(
        `${first.setBy} and ${other.setBy} are both set ${nameOrigin(origin)}${how}: remove one of them.`,
      );
    }
    const alias = first.name === variable.name ? {} : { alias: first.name };
    if (!first.isFile) return { text: first.text, origin, ...alias };
    const file = { variable: first.setBy, path: first.text };
    const read = readSecretFile(file.path);
    if ('text' in read) return { text: read.text, origin, ...alias, file };
    errors.push(
      `${file.variable} names ${read.problem}, ${nameOrigin(origin)}: correct the path or the file.`,
    );
    return { text: variable.default, origin, ...alias, file, isUnknown: true };
  }
  return { text: variable.default, origin: 'default' };
}

/**
 * Returns an environment in which the secrets that are in files have the values that they have now. A child process that is
 * started with it uses these values, although the files may have changed since: all workers must have the same secrets.
 */
export function captureSecretFiles(source: SettingsSource): Readonly<Record<string, string>> {
  const sources = openSources(source);
  const captured: Record<string, string> = {};
  for (const variable of variables) {
    const { text, file, isUnknown } = findText(variable, sources, []);
    if (file === undefined || isUnknown === true) continue;
    captured[variable.name] = text;
    captured[file.variable] = '';
  }
  return captured;
}

/** Returns every name that sets the variable, with whether it contains the path of a file. */
function settingNames({ name, aliases = [], secret }: DeclaredVariable) {
  return [name, ...aliases].flatMap((each) => [
    { name: each, setBy: each, isFile: false },
    ...(secret === undefined ? [] : [{ name: each, setBy: fileVariableOf(each), isFile: true }]),
  ]);
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

const names = variables.flatMap(({ name, secret }) =>
  secret === undefined ? [name] : [name, fileVariableOf(name)],
);
const known: ReadonlySet<string> = new Set(
  variables.flatMap((variable) => settingNames(variable).map(({ setBy }) => setBy)),
);
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
      const inFile = variableOfFile(name) ?? '';
      if (!name.toUpperCase().startsWith('SECURITY_')) {
        const advice = meant === undefined ? noSuchSetting : `did you mean ${meant}`;
        warnings.push(`${where} is ignored: ${known.has(inFile) ? onlySecrets(inFile) : advice}.`);
      } else if (!switchedOff.test(text)) {
        const advice =
          meant === undefined ? `${noSuchSetting}; remove it, or set it to false` : `did you mean ${meant}`;
        errors.push(
          `${where} is not a setting and protects nothing: ${known.has(inFile) ? onlySecrets(inFile) : advice}.`,
        );
      }
    }
  }
  return { errors, warnings };
}

const noSuchSetting = 'this version has no such setting';
const onlySecrets = (name: string) => `only secrets are read from files, so set ${name} itself`;

function nearestTo(name: string): string | undefined {
  // Compared without the prefix, because using the wrong one of the two prefixes is a likely mistake.
  const bare = names.map((candidate) => candidate.replace(prefix, ''));
  const nearest = nearestName(name.toUpperCase().replace(prefix, ''), bare);
  return nearest === undefined ? undefined : names[bare.indexOf(nearest)];
}

import { parseArgs } from 'node:util';
import { StartError } from '../errors.ts';
import { nearestName } from './nearest-name.ts';
import { variables } from './table.ts';

/** The flags of `npm start --`, and the variable that each one sets. */
const variableOf: ReadonlyMap<string, string> = new Map([
  ['host', 'APP_HOST'],
  ['port', 'APP_PORT'],
  ['workers', 'APP_WORKERS'],
]);

export interface Flags {
  /** The `overrides` for `loadSettings`. */
  readonly overrides: Readonly<Record<string, string>>;
  /** Whether `--help` was given. */
  readonly help: boolean;
}

/**
 * Parses the arguments of the command line, without the program's name. Values are checked later, like those of the
 * environment. Throws a StartError for an unknown flag, a flag without a value, and any other argument.
 */
export function parseFlags(argv: readonly string[]): Flags {
  const overrides: Record<string, string> = {};
  let help = false;
  // Not strict, so that the errors are messages of our own. The tokens keep the order and the spelling of the arguments.
  const { tokens } = parseArgs({
    args: [...argv],
    options: {
      ...Object.fromEntries([...variableOf.keys()].map((name) => [name, { type: 'string' as const }])),
      help: { type: 'boolean', short: 'h' },
    },
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') {
      throw new StartError(
        `The argument ${JSON.stringify(token.value)} is not valid: see --help for the flags.`,
      );
    }
    const variable = variableOf.get(token.name);
    if (token.name === 'help') help = true;
    else if (variable === undefined) throw new StartError(explainUnknown(token.rawName, token.name));
    else overrides[variable] = flagValue(token.rawName, token.value, token.inlineValue);
  }
  return { overrides, help };
}

function flagValue(flag: string, value: string | undefined, inline: boolean | undefined): string {
  if (value === undefined || value.trim() === '' || (!inline && value.startsWith('-'))) {
    throw new StartError(`${flag} needs a value: write ${flag} <value> or ${flag}=<value>.`);
  }
  return value;
}

function explainUnknown(flag: string, name: string): string {
  const nearest = nearestName(name, [...variableOf.keys(), 'help']);
  return `There is no flag ${flag}: ${nearest === undefined ? 'see --help for the flags' : `did you mean --${nearest}`}.`;
}

/** Returns the text of `--help`. */
export function renderHelp(): string {
  const rows = [...variableOf].map(([flag, name]) => {
    const variable = variables.find((candidate) => candidate.name === name);
    return `  --${flag.padEnd(9)} ${variable?.about}\n${' '.repeat(14)}Sets ${name}; default ${variable?.default}.`;
  });
  return [
    'Usage: npm start -- [--host <address>] [--port <number>] [--workers <number|auto>]',
    '',
    ...rows,
    `  --${'help'.padEnd(9)} Print this text.`,
    '',
    'All other settings come from the environment or from .env: see .env.example and docs/configuration.md.',
    '`npm run config` prints each setting with its value and its origin.',
    '',
  ].join('\n');
}

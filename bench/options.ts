import { parseArgs } from 'node:util';
import { StartError } from '../src/errors.ts';
import { type Variant, variants } from './variants.ts';

const commands = ['measure', 'verify', 'jobs'] as const;

export interface Options {
  /** `measure`, `verify` to only prove that the variants do the same work, or `jobs` to measure the queue instead. */
  readonly command: (typeof commands)[number];
  readonly help: boolean;
  readonly quick: boolean;
  readonly variants: readonly Variant[];
  readonly rounds: number;
  /** Seconds of measured load a round. */
  readonly seconds: number;
  /** Seconds of load before it, so that the code is compiled when the measuring begins. */
  readonly warmUpSeconds: number;
}

export const usage = `Usage: npm run bench -- [verify | jobs] [options]

  verify          only check that all variants do the same work
  jobs            the queue against others, on one PostgreSQL: jobs a second, and how soon one starts
  --quick         3 rounds of 2 seconds, for a first look
  --only a,b      only these variants: ${variants.map(({ name }) => name).join(', ')}
  --rounds n      how often each variant is measured (5)
  --duration s    seconds of load each time (5)
  --help          this text`;

/** Reads the command line. Throws a StartError that says what is wrong with it. */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = read(args);
  const [word = 'measure', ...rest] = positionals;
  const command = commands.find((each) => each === word);
  if (command === undefined || rest.length > 0) {
    throw new StartError(`"${positionals.join(' ')}" is no command of the benchmark.\n\n${usage}`);
  }
  const quick = values.quick === true;
  return {
    command,
    quick,
    help: values.help === true,
    variants: values.only === undefined ? variants : choose(values.only.split(',')),
    rounds: integer('--rounds', values.rounds ?? (quick ? '3' : '5'), 100),
    seconds: integer('--duration', values.duration ?? (quick ? '2' : '5'), 60),
    warmUpSeconds: quick ? 1 : 4,
  };
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        quick: { type: 'boolean' },
        only: { type: 'string' },
        rounds: { type: 'string' },
        duration: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
  } catch (cause) {
    throw new StartError(`${cause instanceof Error ? cause.message : cause}\n\n${usage}`, { cause });
  }
}

function choose(names: readonly string[]): Variant[] {
  const unknown = names.find((name) => !variants.some((variant) => variant.name === name));
  if (unknown !== undefined) throw new StartError(`There is no variant "${unknown}".\n\n${usage}`);
  return variants.filter(({ name }) => names.includes(name));
}

function integer(flag: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new StartError(`${flag} takes a whole number from 1 to ${most}, not "${text}".`);
}

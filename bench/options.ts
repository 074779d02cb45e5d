import { parseArgs } from 'node:util';
import { StartError } from '../src/errors.ts';
import { rejections } from './rejections.ts';
import { principal, type ScenarioName, scenarioNames, scenarios } from './scenarios.ts';
import { type Cell, canDo, ours, type Variant, variants } from './variants.ts';

const commands = [
  'measure',
  'verify',
  'report',
  'guard',
  'rejections',
  'worker',
  'layers',
  'micro',
  'jobs',
] as const;

export interface Options {
  readonly command: (typeof commands)[number];
  readonly help: boolean;
  readonly quick: boolean;
  /** `guard`: commit to what is measured now, instead of comparing with it. */
  readonly update: boolean;
  /** The scenarios, in the order in which they are measured. */
  readonly cells: readonly Cell[];
  readonly rounds: number;
  /** Duration of each of the two loads of a round in seconds: maximum load, then load at a fixed rate. */
  readonly seconds: number;
  /** Seconds of load before them, so that the code is compiled when the measuring begins. */
  readonly warmUpSeconds: number;
  /** `rejections`: the names of the kinds that are measured. */
  readonly rejections: readonly string[];
  /** Requests a second while latencies are measured. */
  readonly rate: number;
}

/** Beside the principal scenario, some are always measured with the variants whose targets want them. */
const moreByDefault: Readonly<Partial<Record<ScenarioName, readonly string[]>>> = {
  bearer: [ours, 'fastify'],
  row: [ours, 'fastify', 'fastapi'],
};

export const usage = `Usage: npm run bench -- [command] [options]

  (none)            measure, and print the tables and the targets
  verify            only check that all variants do the same work
  report            write bench/README.md and its charts from the newest results
  worker            what a request costs a worker and its primary, beside the single process
  guard             fail if the ratios to bare have got worse than the committed ones; --update commits to new ones
  rejections          what each kind of rejection costs beside the 200 of the same server, and beside Fastify's
  layers            what each layer costs: one taken out at a time, and one put alone in
  micro             router, compose, tokens, limiter, serialisation and log lines against others
  jobs              the queue against others, on one PostgreSQL: jobs a second, and how soon one starts

  --quick           3 rounds of 2 seconds, for a first look
  --only a,b        only these variants: ${variants.map(({ name }) => name).join(', ')}
  --scenarios a,b   only these questions, or all: ${scenarioNames.join(', ')};
                    for rejections: ${rejections.map(({ name }) => name).join(', ')};
                    by default ${principal}, and ${describeDefaults()}
  --rounds n        how often each variant is measured (5)
  --duration s      seconds of busy load each time, and again at the fixed rate (5)
  --rate n          requests a second at which latencies are measured, the same for all (250)
  --help            this text`;

/** Reads the command line. Throws a StartError that names the invalid part. */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = read(args);
  const [word = 'measure', ...rest] = positionals;
  const command = commands.find((each) => each === (word === 'refusals' ? 'rejections' : word));
  if (command === undefined || rest.length > 0) {
    throw new StartError(`"${positionals.join(' ')}" is no command of the benchmark.\n\n${usage}`);
  }
  const quick = values.quick === true;
  const update = values.update === true;
  if (update && command !== 'guard') throw new StartError(`--update belongs to guard.\n\n${usage}`);
  const chosen = chooseVariants(values.only);
  const isRejections = command === 'rejections';
  return {
    command,
    quick,
    update,
    help: values.help === true,
    cells: isRejections
      ? []
      : chooseCells(chosen, values.scenarios ?? (command === 'verify' ? 'all' : undefined)),
    rejections: isRejections ? chooseRejections(values.scenarios) : [],
    rounds: integer('--rounds', values.rounds ?? (quick ? '3' : '5'), 100),
    seconds: integer('--duration', values.duration ?? (quick ? '2' : '5'), 60),
    // On Node, ours took over four seconds on a slow machine until its compiler was done.
    warmUpSeconds: quick ? 1 : 10,
    rate: integer('--rate', values.rate ?? '250', 10_000),
  };
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        quick: { type: 'boolean' },
        update: { type: 'boolean' },
        only: { type: 'string' },
        scenarios: { type: 'string' },
        rounds: { type: 'string' },
        duration: { type: 'string' },
        rate: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
  } catch (cause) {
    throw new StartError(`${cause instanceof Error ? cause.message : cause}\n\n${usage}`, { cause });
  }
}

function chooseVariants(list: string | undefined): readonly Variant[] {
  if (list === undefined) return variants;
  const names = list.split(',');
  const unknown = names.find((name) => !variants.some((variant) => variant.name === name));
  if (unknown !== undefined) throw new StartError(`There is no variant "${unknown}".\n\n${usage}`);
  return variants.filter(({ name }) => names.includes(name));
}

/** Scenario by scenario, so that what is compared is measured close together. */
function chooseCells(chosen: readonly Variant[], list: string | undefined): Cell[] {
  const cells = scenarios
    .flatMap((scenario) => chosen.map((variant) => ({ variant, scenario })))
    .filter(({ variant, scenario }) => canDo(variant, scenario));
  if (list === undefined) return cells.filter(isDefault);
  const names = list === 'all' ? scenarioNames : list.split(',').map(toScenarioName);
  const wanted = cells.filter(({ scenario }) => names.includes(scenario.name));
  if (wanted.length > 0) return wanted;
  throw new StartError(`None of the variants can be asked "${list}".\n\n${usage}`);
}

function chooseRejections(list: string | undefined): readonly string[] {
  const all = rejections.map(({ name }) => name);
  const names = list?.split(',') ?? all;
  const unknown = names.find((name) => !all.includes(name));
  if (unknown === undefined) return names;
  throw new StartError(`There is no rejection "${unknown}", only ${all.join(', ')}.`);
}

function isDefault({ variant, scenario }: Cell): boolean {
  return scenario.name === principal || (moreByDefault[scenario.name]?.includes(variant.name) ?? false);
}

function describeDefaults(): string {
  return Object.entries(moreByDefault)
    .map(([scenario, names]) => `${scenario} for ${names.join(', ')}`)
    .join('; ');
}

function toScenarioName(word: string): ScenarioName {
  const name = scenarioNames.find((each) => each === word);
  if (name === undefined) throw new StartError(`There is no scenario "${word}".\n\n${usage}`);
  return name;
}

function integer(flag: string, text: string, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new StartError(`${flag} needs a whole number from 1 to ${max}, not "${text}".\n\n${usage}`);
}

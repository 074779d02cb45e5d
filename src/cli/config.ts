/**
 * `npm run config`: prints the settings that a start with the same environment and flags would have, each with its
 * origin, as a table or, with `--json`, as an object with `variables` and `warnings`. If the program would not start, it
 * prints all errors on standard error and exits with code 1.
 */

import { StartError } from '../errors.ts';
import { parseFlags, renderHelp } from '../settings/flags.ts';
import { type LoadedSettings, loadSettings } from '../settings/load.ts';

try {
  const argv = process.argv.slice(2);
  const { overrides, help } = parseFlags(argv.filter((argument) => argument !== '--json'));
  if (help) process.stdout.write(renderHelp());
  else process.stdout.write(render(loadSettings({ overrides }), argv.includes('--json')));
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

function render({ origins, warnings }: LoadedSettings, asJson: boolean): string {
  if (asJson) return `${JSON.stringify({ variables: origins, warnings }, null, 2)}\n`;
  const rows = [
    ['VARIABLE', 'VALUE', 'ORIGIN'] as const,
    ...origins.map(
      ({ name, value, origin, alias, file }) =>
        [
          name,
          value,
          `${origin}${file === undefined ? describeAlias(alias) : ` (${file.variable}=${file.path})`}`,
        ] as const,
    ),
  ];
  const nameWidth = Math.max(...rows.map(([name]) => name.length));
  // A longer value shifts only its own origin.
  const valueWidth = Math.min(48, Math.max(...rows.map(([, value]) => value.length)));
  const lines = rows.map(
    ([name, value, origin]) => `${name.padEnd(nameWidth)}  ${value.padEnd(valueWidth)}  ${origin}`,
  );
  return `${[...lines, ...warnings.map((warning) => `warning: ${warning}`)].join('\n')}\n`;
}

function describeAlias(alias: string | undefined): string {
  return alias === undefined ? '' : ` (${alias})`;
}

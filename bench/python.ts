/** The Python of the variants that are not Node's. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { StartError } from '../src/errors.ts';

const folder = join(import.meta.dirname, 'variants', 'fastapi');
const environment = join(folder, '.venv', 'bin', 'python');

/** The interpreter that has the packages; undefined if no environment exists. */
export function findPython(): string | undefined {
  const named = process.env.BENCH_PYTHON;
  if (named !== undefined && named !== '') return named;
  return existsSync(environment) ? environment : undefined;
}

/** The same. Throws a StartError with the commands that create the environment if there is none. */
export function requirePython(): string {
  const python = findPython();
  if (python !== undefined) return python;
  throw new StartError(
    'There is no Python environment: run `python3 -m venv bench/variants/fastapi/.venv` and `bench/variants/fastapi/.venv/bin/pip install -r bench/variants/fastapi/requirements.txt`, or name an interpreter in BENCH_PYTHON.',
  );
}

const script = `
import importlib.metadata, json, platform, sys
versions = {'python': platform.python_version()}
for name in sys.argv[1:]:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(versions))
`;

/** The versions of Python and of the packages in `requirements.txt`; none where there is no environment. */
export function describePythonVersions(): Record<string, string> {
  const python = findPython();
  if (python === undefined) return {};
  const requirements = readFileSync(join(folder, 'requirements.txt'), 'utf8');
  const names = [...requirements.matchAll(/^[A-Za-z0-9._-]+/gm)].map(([name]) => name);
  try {
    const printed = execFileSync(python, ['-c', script, ...names], { encoding: 'utf8', timeout: 20_000 });
    return z.record(z.string(), z.string()).parse(JSON.parse(printed));
  } catch (cause) {
    throw new StartError(`The interpreter ${python} does not run: make the environment again.`, { cause });
  }
}

import { join } from 'node:path';
import { builtCommand } from './own-programs.ts';
import { requirePython } from './python.ts';
import { isOwn, type Variant } from './variants.ts';

/** The command that starts the variant's server. Throws a StartError where its runtime is missing. */
export function serverCommand(variant: Variant): readonly [string, ...string[]] {
  const folder = join(import.meta.dirname, 'variants', variant.name);
  if (variant.runtime === 'python') return [requirePython(), join(folder, 'app.py')];
  const source = join(folder, 'server.mjs');
  return [process.execPath, ...(isOwn(variant) ? builtCommand(source) : [source])];
}

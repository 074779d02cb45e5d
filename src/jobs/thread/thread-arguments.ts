import type { WorkerOptions } from 'node:worker_threads';

/**
 * How Node starts a thread for `entry`. It inherits the arguments of the process, which is enough for compiled files. For
 * a source in TypeScript, a Node that does not read it needs tsx in each thread: the one of the process stays there.
 */
export function threadArguments(entry: URL): Pick<WorkerOptions, 'execArgv'> {
  const readsTypeScript = Boolean(Reflect.get(process.features, 'typescript'));
  if (!entry.pathname.endsWith('.ts') || readsTypeScript) return {};
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  return {
    execArgv: ['--import', `data:text/javascript,import { register } from ${loader}; register();`],
  };
}

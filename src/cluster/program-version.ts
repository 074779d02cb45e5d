import type { ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import { returnLostConnections } from './hand-over.ts';
import type { SupervisionOptions } from './supervision.ts';

/** The result of loading the settings again. */
export interface RenewedSupervision {
  readonly supervision: SupervisionOptions;
  /** Whether a secret was removed, so that old workers, which still accept it, should disappear soon. */
  readonly revokes: boolean;
  /** Called when all workers have these settings. */
  readonly onCompleted: () => void;
}

/** One version of the program, from which processes can be started. */
export interface ProgramVersion {
  /** Its version and its real folder, for the log. */
  readonly version: string;
  readonly folder: string;
  /** Makes its folder the working directory of this process, to which relative paths in settings refer. Never throws. */
  enter(): void;
  /** Returns the file, the arguments and the additional environment of a worker. */
  worker(): {
    readonly entry: string;
    readonly args: readonly string[];
    readonly cwd: string | undefined;
    readonly env?: Readonly<Record<string, string>>;
  };
  /** Creates a jobs process. Throws the system's error if no process can be created. */
  spawnJobs(): ChildProcess;
  /** Releases its files. No process of this version is started afterwards. */
  discard(): void;
}

/**
 * Forks a worker of this version. `hasOther` returns whether another worker accepts connections. Throws the system's error if
 * no process can be created.
 */
export function forkWorker(
  program: ProgramVersion,
  hasOther: () => boolean,
): { readonly id: number; readonly child: ChildProcess } {
  const { entry, args, cwd, env } = program.worker();
  cluster.setupPrimary({ exec: entry, args: [...args], ...(cwd !== undefined && { cwd }) });
  const worker = cluster.fork(env);
  // Without a listener, Node throws the errors of a worker. `superviseProcess` handles those of its process instead.
  worker.on('error', () => {});
  returnLostConnections(worker.process, hasOther);
  return { id: worker.id, child: worker.process };
}

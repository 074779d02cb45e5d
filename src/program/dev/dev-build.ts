/** Runs `build.mjs` as a child process that stays alive between builds: a repeated build takes a fraction of the time of the first. */

import { fork } from 'node:child_process';
import { join } from 'node:path';
import * as z from 'zod';
import { createDeferred, type Deferred } from '../../concurrency/deferred.ts';
import { projectRoot } from '../../project-root.ts';

export interface BuildRequest {
  /** Programs by their path below `src`, without the extension. */
  readonly names: readonly string[];
  /** A regular expression for paths of source files. The digest ignores these files and the files that only they import. */
  readonly without?: string;
}

export interface DevBuild {
  /**
   * Builds programs. Resolves with a digest of their code, or null if the build fails; the child process prints the error with
   * its file and line.
   */
  build(request: BuildRequest): Promise<string | null>;
  /** Stops the child process. */
  stop(): void;
}

const answer = z.object({ id: z.number(), digest: z.string().nullable() });

/** Starts a child process that builds programs into a folder. */
export function startDevBuild(folder: string): DevBuild {
  const child = fork(join(projectRoot, 'build.mjs'), ['--on-request', '--into', folder], {
    cwd: projectRoot,
  });
  const waiting = new Map<number, Deferred<string | null>>();
  let lastId = 0;
  child.on('message', (message) => {
    const { id, digest } = answer.parse(message);
    waiting.get(id)?.resolve(digest);
    waiting.delete(id);
  });
  child.on('exit', () => {
    for (const each of waiting.values()) each.resolve(null);
  });
  return {
    async build(request) {
      lastId += 1;
      const deferred = createDeferred<string | null>();
      waiting.set(lastId, deferred);
      if (!child.connected) return null;
      child.send({ id: lastId, ...request });
      return deferred.promise;
    },
    stop() {
      if (child.connected) child.disconnect();
    },
  };
}

/** Asks `build.mjs` for programs, again and again: the second build of a program takes a fraction of the first. */

import { fork } from 'node:child_process';
import { join } from 'node:path';
import * as z from 'zod';
import { createDeferred, type Deferred } from '../../concurrency/deferred.ts';
import { projectRoot } from '../../project-root.ts';

export interface BuildRequest {
  /** Programs by their path below `src`, without the extension. */
  readonly names: readonly string[];
  /** Files that the digest leaves out, with what only they import: a regular expression for their paths. */
  readonly without?: string;
}

export interface DevBuild {
  /**
   * Builds programs. Resolves with a digest of the code that they consist of, or null after an error, which is printed with
   * its place.
   */
  build(request: BuildRequest): Promise<string | null>;
  /** Ends the process that builds. */
  stop(): void;
}

const answer = z.object({ id: z.number(), digest: z.string().nullable() });

/** Starts the process that builds into a folder. */
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

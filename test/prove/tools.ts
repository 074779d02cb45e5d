/** The tools that proofs run, and the sentence for a tool that is not installed. */

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The Debian package of each tool. */
const packages = {
  buildah: 'buildah',
  chromium: 'chromium',
  debootstrap: 'debootstrap',
  ip: 'iproute2',
  iptables: 'iptables',
  nginx: 'nginx-light',
  pgbouncer: 'pgbouncer',
  promtool: 'prometheus',
  'redis-server': 'redis-server',
  slowhttptest: 'slowhttptest',
  wrk: 'wrk',
} as const;

export type Tool = keyof typeof packages;

/** EX_UNAVAILABLE of sysexits.h: the proof could not run. */
export const exitUnavailable = 69;

/** Returns one sentence for each tool that is not in the path. */
export function findMissing(tools: readonly Tool[], path: string = process.env.PATH ?? ''): string[] {
  return tools
    .filter((tool) => !path.split(delimiter).some((folder) => isProgram(join(folder, tool))))
    .map(
      (tool) =>
        `${tool} is not installed: run \`apt-get install --no-install-recommends ${packages[tool]}\`.`,
    );
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * `node dist/cli/health.js`: the health check of the image. Exits with 0 if the program that runs in the same container is
 * alive, with `--ready` if it can answer requests, and otherwise prints the reason and exits with 1.
 *
 *     APP_MANAGEMENT_PORT     is asked
 *     auto, or a number       the management port
 *     off                     the public port, APP_PORT
 *     0, or off and port 0    every port on which a process of this container listens: only one answers the path
 *
 * `--pid NUMBER` asks only the ports of that process.
 */

import { parseArgs } from 'node:util';
import { reasonOf, StartError } from '../errors.ts';
import { httpOrigin } from '../http/connection/addresses.ts';
import { findHealthTarget } from '../settings/health-target.ts';
import { getText } from './get-text.ts';
import { findListeningPorts } from './listening-ports.ts';
import { reachableHost } from './reachable-host.ts';

/** Shorter than the timeout of the check in the image. */
const timeoutMs = 4_000;

try {
  const { values } = parseArgs({ options: { ready: { type: 'boolean' }, pid: { type: 'string' } } });
  const { host, port, paths } = findHealthTarget();
  const path = values.ready ? paths.ready : paths.live;
  const ports =
    port === 0 ? findListeningPorts(values.pid === undefined ? undefined : Number(values.pid)) : [port];
  const reasons: string[] = [];
  const checks = ports.map(async (each) => {
    const reason = await findProblem(`${httpOrigin(reachableHost(host), each)}${path}`);
    // The first one that answers decides: another port may belong to a program that never does.
    if (reason === undefined) process.exit(0);
    reasons.push(reason);
  });
  await Promise.all(checks);
  fail(reasons.join('\n') || 'No process listens.');
} catch (error) {
  fail(error instanceof StartError ? error.message : reasonOf(error));
}

/** Resolves with undefined if the response is 200, and otherwise with a sentence. Never rejects. */
async function findProblem(url: string): Promise<string | undefined> {
  try {
    const { status, body } = await getText(url, timeoutMs);
    return status === 200 ? undefined : `${url} answers ${status}: ${body}`;
  } catch (error) {
    return `${url} does not answer: ${reasonOf(error)}`;
  }
}

function fail(reason: string): void {
  process.stderr.write(`${reason}\n`);
  process.exitCode = 1;
}

import { availableParallelism } from 'node:os';
import * as z from 'zod';
import { integer, kind, readInteger } from '../kinds/kind.ts';
import { bindAddress } from '../kinds/network.ts';
import { variable } from '../variable.ts';
import { management } from './management.ts';

const day = 86_400;
const maxWorkers = 256;

/** How the program listens: the socket, the processes behind it, and what a connection may take. */
export const server = z.object({
  host: variable('APP_HOST', bindAddress(), {
    default: '127.0.0.1',
    about:
      'Address to listen on. 127.0.0.1 is reached from this machine only; 0.0.0.0 (or ::) from everywhere.',
  }),
  port: variable('APP_PORT', integer(0, 65_535), {
    default: '8000',
    aliases: ['PORT'],
    about: 'Port to listen on. 0 takes a free one.',
  }),
  workers: variable('APP_WORKERS', kind(`an integer from 1 to ${maxWorkers}, or auto`, readWorkers), {
    default: '1',
    phase: 4,
    about: 'Processes that answer requests. `auto` is one for each processor that this process may use.',
  }),
  workerTimeoutSeconds: variable('APP_WORKER_TIMEOUT_SECONDS', integer(2, day, 'seconds'), {
    default: '30',
    aliases: ['APP_WORKER_TIMEOUT'],
    phase: 4,
    about: 'A worker whose event loop is blocked for this long is killed and replaced.',
  }),
  workerStartTimeoutSeconds: variable('APP_WORKER_START_TIMEOUT_SECONDS', integer(1, day, 'seconds'), {
    default: '30',
    phase: 4,
    about: 'A new worker that does not answer requests within this time is killed.',
  }),
  workerMaxRequests: variable('APP_WORKER_MAX_REQUESTS', integer(0, 1_000_000_000), {
    default: '0',
    phase: 4,
    about:
      'A worker that has received this many requests is replaced by a new one, without a loss. 0 is never.',
  }),
  workerMaxRequestsJitter: variable('APP_WORKER_MAX_REQUESTS_JITTER', integer(0, 1_000_000_000), {
    default: '0',
    phase: 4,
    about:
      'Up to this many requests more, chosen for each worker, so that they do not all come to it together.',
  }),
  workerMaxMemoryMb: variable('APP_WORKER_MAX_MEMORY_MB', integer(0, 1_048_576, 'MiB'), {
    default: '0',
    phase: 4,
    about:
      'A worker that has more resident memory than this, a minute after its start or later, is replaced by a new one. 0 is never.',
  }),
  reloadCanarySeconds: variable('APP_RELOAD_CANARY_SECONDS', integer(0, 3600, 'seconds'), {
    default: '2',
    phase: 4,
    about: 'In a reload, how long the first new worker must stay up before the others are replaced too.',
  }),
  headersTimeoutSeconds: variable('APP_HEADERS_TIMEOUT_SECONDS', integer(1, day, 'seconds'), {
    default: '10',
    about: 'A connection whose request head is not complete within this time is closed.',
  }),
  requestTimeoutSeconds: variable('APP_REQUEST_TIMEOUT_SECONDS', integer(1, day, 'seconds'), {
    default: '30',
    about: 'Deadline for the answer: then the request is cancelled, with the queries it has running.',
  }),
  bodyTimeoutSeconds: variable('APP_BODY_TIMEOUT_SECONDS', integer(1, day, 'seconds'), {
    default: '20',
    about: 'Deadline for the whole request body to arrive.',
  }),
  keepAliveSeconds: variable('APP_KEEP_ALIVE_SECONDS', integer(1, day, 'seconds'), {
    default: '5',
    about:
      'How long an idle connection is kept for the next request. Behind a balancer, longer than the balancer keeps it.',
  }),
  maxHeaderBytes: variable('APP_MAX_HEADER_BYTES', integer(1024, 1_048_576, 'bytes'), {
    default: '16384',
    about: 'Size of a request head, with the request line.',
  }),
  maxHeaderCount: variable('APP_MAX_HEADER_COUNT', integer(10, 2000), {
    default: '100',
    about: 'Number of header fields in a request.',
  }),
  maxConnections: variable('APP_MAX_CONNECTIONS', integer(1, 1_000_000), {
    default: '10000',
    about:
      'Open connections of one worker. Beyond them an idle connection gives way to a new one. Each takes a file descriptor: where `ulimit -n` is too low for all of them, fewer are accepted, and a warning at the start names the number.',
  }),
  maxConnectionsPerAddress: variable(
    'APP_MAX_CONNECTIONS_PER_ADDRESS',
    kind('auto, or an integer from 1 to 1000000', readConnectionShare),
    {
      default: 'auto',
      about:
        'Open connections of one worker from one client address (IPv6: from one /64); what comes beyond is closed at once. `auto` is a quarter of all. Proxies in SECURITY_TRUSTED_PROXIES may hold all of them.',
    },
  ),
  shutdownGraceSeconds: variable('APP_SHUTDOWN_GRACE_SECONDS', integer(0, day, 'seconds'), {
    default: '30',
    about:
      'How long requests in flight may go on after the signal to stop. The platform must wait longer than this.',
  }),
  ...management,
});

function readConnectionShare(text: string): number | 'auto' {
  return text.toLowerCase() === 'auto' ? 'auto' : readInteger(1, 1_000_000)(text);
}

function readWorkers(text: string): number {
  return text.toLowerCase() === 'auto' ? availableParallelism() : readInteger(1, maxWorkers)(text);
}

import { availableParallelism } from 'node:os';
import * as z from 'zod';
import { integer, kind, readInteger } from '../kinds/kind.ts';
import { bindAddress } from '../kinds/network.ts';
import { variable } from '../variable.ts';
import { management } from './management.ts';

const day = 86_400;
const maxWorkers = 256;

/** How the program listens: the socket, the worker processes, and the limits of a connection. */
export const server = z.object({
  host: variable('APP_HOST', bindAddress(), {
    default: '127.0.0.1',
    about:
      'Address to listen on. 127.0.0.1 accepts connections from this machine only, 0.0.0.0 (or ::) from all machines.',
  }),
  port: variable('APP_PORT', integer(0, 65_535), {
    default: '8000',
    aliases: ['PORT'],
    about: 'Port to listen on. 0 chooses a free port.',
  }),
  workers: variable('APP_WORKERS', kind(`an integer from 1 to ${maxWorkers}, or auto`, readWorkers), {
    default: '1',
    about: 'Worker processes, which answer requests. `auto` means one per available processor.',
  }),
  workerTimeoutSeconds: variable('APP_WORKER_TIMEOUT_SECONDS', integer(2, day, 'seconds'), {
    default: '30',
    aliases: ['APP_WORKER_TIMEOUT'],
    about: 'A worker whose event loop is blocked for this long is killed and replaced.',
  }),
  workerStartTimeoutSeconds: variable('APP_WORKER_START_TIMEOUT_SECONDS', integer(1, day, 'seconds'), {
    default: '30',
    about: 'A new worker that is not ready for requests within this time is killed.',
  }),
  workerMaxRequests: variable('APP_WORKER_MAX_REQUESTS', integer(0, 1_000_000_000), {
    default: '0',
    about:
      'A worker that has received this many requests is replaced without losing requests. 0 means never.',
  }),
  workerMaxRequestsJitter: variable('APP_WORKER_MAX_REQUESTS_JITTER', integer(0, 1_000_000_000), {
    default: '0',
    about:
      'A random number up to this is added to APP_WORKER_MAX_REQUESTS for each worker, so that workers are not all replaced at once.',
  }),
  workerMaxMemoryMb: variable('APP_WORKER_MAX_MEMORY_MB', integer(0, 1_048_576, 'MiB'), {
    default: '0',
    about:
      'A worker with more resident memory than this is replaced, but not in its first minute. 0 means never.',
  }),
  reloadCanarySeconds: variable('APP_RELOAD_CANARY_SECONDS', integer(0, 3600, 'seconds'), {
    default: '2',
    about: 'In a reload, how long the first new worker must run before the others are replaced.',
  }),
  headersTimeoutSeconds: variable('APP_HEADERS_TIMEOUT_SECONDS', integer(1, day, 'seconds'), {
    default: '10',
    about: 'A connection whose request head is not complete within this time is closed.',
  }),
  requestTimeoutSeconds: variable('APP_REQUEST_TIMEOUT_SECONDS', integer(1, day, 'seconds'), {
    default: '30',
    about: 'Deadline for the response. Then the request and its running queries are cancelled.',
  }),
  bodyTimeoutSeconds: variable('APP_BODY_TIMEOUT_SECONDS', integer(1, day, 'seconds'), {
    default: '20',
    about: 'Deadline for the whole request body to arrive.',
  }),
  sendTimeoutSeconds: variable('APP_SEND_TIMEOUT_SECONDS', integer(2, day, 'seconds'), {
    default: '10',
    about:
      'A connection whose client reads less than 240 bytes per second of a response during this time is closed. Idle event streams are not affected.',
  }),
  keepAliveSeconds: variable('APP_KEEP_ALIVE_SECONDS', integer(1, day, 'seconds'), {
    default: '5',
    about:
      'How long an idle connection stays open for the next request. Behind a load balancer, use more than its idle timeout.',
  }),
  maxHeaderBytes: variable('APP_MAX_HEADER_BYTES', integer(1024, 1_048_576, 'bytes'), {
    default: '16384',
    about: 'Maximum size of a request head, including the request line.',
  }),
  maxHeaderCount: variable('APP_MAX_HEADER_COUNT', integer(10, 2000), {
    default: '100',
    about: 'Maximum number of header fields in a request.',
  }),
  maxConnections: variable('APP_MAX_CONNECTIONS', integer(1, 1_000_000), {
    default: '10000',
    about:
      'Maximum open connections per worker. When all are in use, a new connection replaces an idle one. Each needs a file descriptor: if `ulimit -n` is too low, fewer are accepted, and a warning at start names the number.',
  }),
  maxConnectionsPerAddress: variable(
    'APP_MAX_CONNECTIONS_PER_ADDRESS',
    kind('auto, or an integer from 1 to 1000000', readConnectionShare),
    {
      default: 'auto',
      about:
        'Maximum open connections per worker from one client address (IPv6: from one /64). Further connections are closed immediately. `auto` means a quarter of APP_MAX_CONNECTIONS. Proxies in SECURITY_TRUSTED_PROXIES may use all.',
    },
  ),
  shutdownGraceSeconds: variable('APP_SHUTDOWN_GRACE_SECONDS', integer(0, day, 'seconds'), {
    default: '30',
    about:
      'How long requests in flight may continue after the signal to stop. The platform must wait longer than this.',
  }),
  ...management,
});

function readConnectionShare(text: string): number | 'auto' {
  return text.toLowerCase() === 'auto' ? 'auto' : readInteger(1, 1_000_000)(text);
}

function readWorkers(text: string): number {
  return text.toLowerCase() === 'auto' ? availableParallelism() : readInteger(1, maxWorkers)(text);
}

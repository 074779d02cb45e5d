/** Real Redis servers for tests: the `redis-server` of the machine, each on a free port with its data in memory. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The reason to skip a test that needs Redis; false if it is installed. */
export const withoutRedis =
  spawnSync('redis-server', ['--version']).status === 0 ? false : 'redis-server is not installed';

export interface TestRedis {
  readonly port: number;
  readonly url: string;
  /** Sends a command with redis-cli and returns its output. */
  command(...words: string[]): string;
  /** Stops and continues the process: a frozen server accepts connections and answers nothing. */
  freeze(): void;
  thaw(): void;
  /** Kills the server with SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again on the same port, empty. */
  restart(): Promise<void>;
  /** Stops the server and deletes its folder. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts a server. `options` are lines of its configuration as arguments: `'--maxmemory', '2mb'`. The word PORT is replaced by the
 * port: `'--port', '0', '--tls-port', 'PORT'`.
 */
export async function startRedis(...options: string[]): Promise<TestRedis> {
  const port = await findFreePort();
  const folder = mkdtempSync(join(tmpdir(), 'strata-redis-'));
  const base = [
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
  ];
  // The name of a configuration file must be the first argument.
  const files = options.filter((word) => word.endsWith('.conf'));
  const others = options
    .filter((word) => !word.endsWith('.conf'))
    .map((word) => (word === 'PORT' ? `${port}` : word));
  let server = await start();

  async function start(): Promise<ChildProcess> {
    const child = spawn('redis-server', [...files, ...base, ...others], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    await new Promise<void>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (/ready to accept connections|Sentinel ID is/i.test(output)) resolve();
      });
      child.once('exit', () => reject(new Error(`redis-server did not start:\n${output}`)));
    });
    return child;
  }

  async function kill(): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exited = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGKILL');
    await exited;
  }

  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    command(...words) {
      const { stdout, stderr } = spawnSync('redis-cli', ['-p', `${port}`, ...words], { encoding: 'utf8' });
      assert.equal(stderr, '');
      return stdout.trim();
    },
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    kill,
    async restart() {
      await kill();
      server = await start();
    },
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}

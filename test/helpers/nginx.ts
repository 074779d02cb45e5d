import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, isTaken } from '../prove/ports.ts';
import { readProjectFile } from './deployment.ts';
import { eventually } from './eventually.ts';

export interface Nginx {
  readonly httpPort: number;
  readonly httpsPort: number;
  /** The lines of its access log. */
  accessLog(): string;
}

export const hasNginx = spawnSync('nginx', ['-v']).status === 0;

/**
 * Runs nginx with `deploy/nginx/nginx.conf` until the test ends, in front of servers on these ports of the loopback
 * interface. Only ports, servers and the places of files are others than in the file.
 */
export async function mustStartNginx(
  t: { after(end: () => Promise<void>): void },
  upstreamPorts: readonly number[],
): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'strata-nginx-'));
  chmodSync(folder, 0o755);
  const [httpPort, httpsPort] = [await freePort(), await freePort()];
  const certificate = join(folder, 'certificate.pem');
  const key = join(folder, 'key.pem');
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=api.example.com'],
    ...['-keyout', key, '-out', certificate],
  ]);
  if (made.status !== 0) throw new Error(`openssl failed: ${made.stderr}`);
  const replaced = [
    ['listen 8080', `listen 127.0.0.1:${httpPort}`],
    ['listen 8443', `listen 127.0.0.1:${httpsPort}`],
    ['/run/secrets/tls-certificate', certificate],
    ['/run/secrets/tls-key', key],
    ['/dev/stdout', join(folder, 'access.log')],
    ['worker_processes auto', 'worker_processes 1'],
    ['/tmp/nginx', join(folder, 'nginx')],
  ] as const;
  const text = replaced.reduce((before, [from, to]) => {
    if (!before.includes(from)) throw new Error(`nginx.conf has no ${from}.`);
    return before.replaceAll(from, to);
  }, readProjectFile('deploy/nginx/nginx.conf'));
  const servers = upstreamPorts.map((port) => `  server 127.0.0.1:${port} max_fails=3 fail_timeout=30s;\n`);
  const upstream = readProjectFile('deploy/nginx/upstream.conf').replace(
    /(?: {2}server node\d:8000 max_fails=3 fail_timeout=30s;\n)+/,
    servers.join(''),
  );
  writeFileSync(join(folder, 'nginx.conf'), text);
  writeFileSync(join(folder, 'upstream.conf'), upstream);
  // As root, the workers would change to a user that cannot write to the folder.
  const user = process.getuid?.() === 0 ? ' user root;' : '';
  const child: ChildProcess = spawn(
    'nginx',
    ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf'), '-g', `daemon off;${user}`],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  const ended = once(child, 'close');
  t.after(async () => {
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  await eventually('nginx listens', async () => {
    if (child.exitCode !== null) throw new Error(`nginx has exited:\n${errors}`);
    return isTaken(httpsPort);
  });
  return { httpPort, httpsPort, accessLog: () => readFileSync(join(folder, 'access.log'), 'utf8') };
}

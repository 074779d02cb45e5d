/** Runs nginx in front of the program with keep-alive connections to it, for the time of a proof. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, isTaken } from './ports.ts';
import { until } from './until.ts';

export interface Proxy {
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Starts nginx with its files below `folder`, in front of one or several origins in turn. Each response names its origin in
 * `X-Upstream`. nginx keeps idle connections for `idleSeconds`, which must be less than the
 * keep-alive time of the program, and retries no request.
 */
export async function startNginx(
  folder: string,
  upstream: string | readonly string[],
  idleSeconds: number,
): Promise<Proxy> {
  const port = await freePort();
  const home = join(folder, 'nginx');
  await mkdir(home, { recursive: true });
  const config = join(home, 'nginx.conf');
  const upstreams = [upstream].flat().map((origin) => new URL(origin).host);
  await writeFile(config, configOf({ home, port, upstreams, idleSeconds }));
  const child = spawn('nginx', ['-p', home, '-c', config], { stdio: ['ignore', 'inherit', 'inherit'] });
  await until('nginx listens', () => isTaken(port), 10_000);
  const ended = once(child, 'close');
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

interface ConfigOptions {
  readonly home: string;
  readonly port: number;
  readonly upstreams: readonly string[];
  readonly idleSeconds: number;
}

function configOf({ home, port, upstreams, idleSeconds }: ConfigOptions): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${join(home, 'nginx.pid')};
error_log ${join(home, 'error.log')} warn;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${join(home, name)};`).join('\n  ')}
  upstream program {
    ${upstreams.map((host) => `server ${host} max_fails=0;`).join('\n    ')}
    keepalive 32;
    keepalive_timeout ${idleSeconds}s;
    keepalive_requests 100000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    add_header X-Upstream $upstream_addr always;
    keepalive_requests 100000;
    location / {
      proxy_pass http://program;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_request_buffering off;
      proxy_next_upstream off;
    }
  }
}
`;
}

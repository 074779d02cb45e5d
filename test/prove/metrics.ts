/**
 * `npm run prove -- metrics`: the metrics of two workers are consistent, also after one of them was killed.
 *
 * The real program runs with two workers. Some hundred requests of several kinds are sent, each on a new connection, so that
 * both workers get some. The sums on the management port and on the public port must equal the number of requests. Then a
 * worker is killed with SIGKILL: no counter may have decreased when its successor is ready. Debian's `promtool check
 * metrics` must accept all scrapes.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { type RequestOptions, request } from '../helpers/http-client.ts';
import { startProgram } from '../helpers/program.ts';

const sentEach = 100;
const kinds: readonly RequestOptions[] = [
  { path: '/api/v1/meta' },
  { path: '/api/v1/health/live' },
  { path: '/api/v1/users/me' },
  { path: '/nothing' },
  { path: '/api/v1/meta', method: 'DELETE' },
  { path: '/api/v1/auth/login', method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'a' },
];

const ends: (() => unknown)[] = [];
try {
  await prove();
} finally {
  for (const end of ends) await end();
}

async function prove(): Promise<void> {
  const program = startProgram(
    { after: (end: () => unknown) => void ends.push(end) },
    {
      APP_WORKERS: '2',
      APP_MANAGEMENT_PORT: '0',
      SECURITY_ENABLE_PROMETHEUS: 'true',
      SECURITY_RATE_LIMIT_PER_MINUTE: '100000',
      SECURITY_RATE_LIMIT_PER_HOUR: '100000',
    },
  );
  const site = Number(new URL(await program.ready).port);
  const management = Number(new URL(await program.management).port);

  for (let round = 0; round < sentEach; round += 1) {
    await Promise.all(kinds.map((kind) => request(site, kind)));
  }
  const sent = sentEach * kinds.length;
  const own = await scrape(management);
  check(
    `http_requests_total is the number of requests sent, ${sent}`,
    sumOf(own, 'http_requests_total'),
    sent,
  );
  check(
    'the count of the duration histogram is the same',
    sumOf(own, 'http_request_duration_seconds_count'),
    sent,
  );
  const open = await scrape(site);
  check('the public port reports the same number', sumOf(open, 'http_requests_total'), sent);
  const workers = new Set(own.match(/(?<=^process_resident_memory_bytes\{worker=")\d+/gm));
  check('two workers report their memory', workers.size, 2);

  // Counts of a worker since its last snapshot are lost with it, so this scrape comes directly before the kill.
  const before = await scrape(management);
  check('a scrape of the public port is a request too', sumOf(before, 'http_requests_total'), sent + 1);
  const victim = await killOne(management);
  const successor = `"worker":(?!(?:${[...workers].join('|')})\\D)\\d+,.*"event":"process.ready"`;
  await program.logged(new RegExp(successor));
  const after = await scrape(management);
  console.log(`    worker ${victim} was killed and replaced`);
  check('all requests are still counted', sumOf(after, 'http_requests_total'), sent + 1);
  check('no counter has decreased', decreased(before, after).join(', '), '');
  check('the restart of the worker was counted', sumOf(after, 'worker_restarts_total'), 1);

  for (const [what, text] of Object.entries({ management: own, public: open, 'second management': after })) {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: text,
      encoding: 'utf8',
    });
    check(
      `promtool accepts the ${what} scrape of ${text.split('\n').length} lines`,
      `${status} ${stdout}${stderr}`,
      '0 ',
    );
  }
}

async function scrape(port: number): Promise<string> {
  const { status, text } = await request(port, { path: '/metrics' });
  assert.equal(status, 200, text);
  return text;
}

async function killOne(management: number): Promise<number> {
  const { json } = await request(management, { path: '/workers' });
  const [{ id, pid }] = json;
  process.kill(pid, 'SIGKILL');
  return id;
}

function sumOf(text: string, name: string): number {
  return [...numbersOf(text)]
    .filter(([series]) => series === name || series.startsWith(`${name}{`))
    .reduce((sum, [, number]) => sum + number, 0);
}

function numbersOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space))];
    }),
  );
}

/** Returns the series that must not decrease, and have. */
function decreased(before: string, after: string): string[] {
  const later = numbersOf(after);
  return [...numbersOf(before)]
    .filter(([series]) => /^\w+_(?:total|count|sum|bucket)(?:\{|$)/.test(series))
    .filter(([series, number]) => (later.get(series) ?? 0) < number)
    .map(([series]) => series);
}

function check(what: string, actual: number | string, expected: number | string): void {
  if (actual === expected) {
    console.log(`ok  ${what}`);
    return;
  }
  console.error(`FAILED: ${what}. Expected ${expected}, got ${actual}.`);
  process.exitCode = 1;
}

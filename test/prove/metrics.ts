/**
 * `npm run prove -- metrics`: what two workers have counted is one truth, also after one of them was killed.
 *
 * The real program runs with two workers. Some hundred requests of several kinds are sent, each on a connection of its
 * own, so that they fall on both; the sums on the management port and on the public one must be the number of those that
 * were sent. Then a worker is killed with SIGKILL: no counter may have fallen when its successor serves. Debian's
 * `promtool check metrics` reads all that was scraped, and must find nothing.
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
    `${sent} requests were sent, and http_requests_total says so`,
    sumOf(own, 'http_requests_total'),
    sent,
  );
  check('so does the histogram of durations', sumOf(own, 'http_request_duration_seconds_count'), sent);
  const open = await scrape(site);
  check('the public port says the same', sumOf(open, 'http_requests_total'), sent);
  const workers = new Set(own.match(/(?<=^process_resident_memory_bytes\{worker=")\d+/gm));
  check('two workers tell their memory', workers.size, 2);

  // What a worker has counted since it was last asked ends with it.
  const before = await scrape(management);
  check('a scrape of the public port is a request too', sumOf(before, 'http_requests_total'), sent + 1);
  const victim = await killOne(management);
  const successor = `"worker":(?!(?:${[...workers].join('|')})\\D)\\d+,.*"event":"worker.ready"`;
  await program.logged(new RegExp(successor));
  const after = await scrape(management);
  console.log(`    worker ${victim} was killed, and another took its place`);
  check('no request is forgotten', sumOf(after, 'http_requests_total'), sent + 1);
  check('no counter fell', fallen(before, after).join(', '), '');
  check('the end of the worker was counted', sumOf(after, 'worker_restarts_total'), 1);

  for (const [what, text] of Object.entries({ management: own, public: open, 'second management': after })) {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: text,
      encoding: 'utf8',
    });
    check(
      `promtool finds nothing in the ${what} scrape of ${text.split('\n').length} lines`,
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

/** The series that may only grow and have not. */
function fallen(before: string, after: string): string[] {
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
  console.error(`FAILED: ${what}. It is ${actual}, and not ${expected}.`);
  process.exitCode = 1;
}

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { sourceArguments } from '../helpers/source-arguments.ts';
import { mustCreateDatabase } from '../helpers/test-database.ts';

const runFile = promisify(execFile);
const source = (name: string) => JSON.stringify(new URL(`../../src/${name}.ts`, import.meta.url).href);

/** Fifty clients with 1,500 queries each. Ten have a connection, and the others wait. With fewer queries, Node 24 and 26 still promote much. */
const program = (url: string) => `
  import { connectDatabase } from ${source('db/database')};
  import { createLogger } from ${source('observability/logger')};
  const log = createLogger({ level: 'WARNING', destination: { write() {}, flush: async () => {} } });
  const { sql, close } = connectDatabase({
    url: ${JSON.stringify(url)}, poolSize: 10, statementTimeoutMs: 0, connectTimeoutSeconds: 5, slowQueryMs: 60_000,
    echo: false, log, applicationName: 'test',
  });
  async function ask() {
    for (let n = 0; n < 1_500; n += 1) await sql\`select \${n}::integer as n, \${'x'.repeat(100)} as filler\`;
  }
  await Promise.all(Array.from({ length: 50 }, ask));
  await close(1);`;

test('a finished query is freed by a minor collection, without waiting for a major one', async (t) => {
  const url = await mustCreateDatabase(t);
  const args = ['--trace-gc-nvp', ...sourceArguments(), '--input-type=module', '--eval', program(url)];
  const { stdout } = await runFile(process.execPath, args, { maxBuffer: 10_000_000 });
  // Node 26 writes JSON. The first collections promote the program itself and its long-lived data.
  const scavenges = Array.from(stdout.matchAll(/\bgc(?:=|":")s\b.*\bpromoted(?:=|":)(\d+)/g), ([, bytes]) =>
    Number(bytes),
  );
  const [median = Number.NaN] = scavenges
    .slice(-5)
    .toSorted((a, b) => a - b)
    .slice(2);
  // Queries that survive until a major collection make several MB; Node 26 promotes up to 0.6 MB of other objects.
  assert.ok(median < 1_000_000, `${median} bytes of 16 MB, of ${scavenges.length} collections`);
});

/** The output of a start: text for a person at a terminal in local, and only JSON lines in production. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandOf, mustMakeFolder, type Program, startProgram } from '../helpers/program.ts';
import { testSecret } from '../helpers/test-secret.ts';

/** Parses each line of both outputs. Fails the test if one is not a JSON object with a level and an event. */
function mustParseOutput(program: Program) {
  const lines = `${program.stdout()}${program.stderr()}`.split('\n').filter((line) => line !== '');
  return lines.map((line): Record<string, unknown> => {
    assert.match(line, /^\{"level":"\w+",.*"event":"[\w.]+"\}$/);
    return JSON.parse(line);
  });
}

const production = {
  APP_ENVIRONMENT: 'production',
  APP_ALLOWED_HOSTS: '127.0.0.1',
  APP_DATABASE_URL: 'none',
};

test('a start in production with several invalid settings writes one JSON line for each', async (t) => {
  const program = startProgram(t, {
    ...production,
    APP_DEBUG: 'true',
    APP_PORT: 'eighty',
    SECURITY_JWT_SECRET: 'hunter2',
  });
  assert.equal((await program.ended).code, 1);
  const lines = mustParseOutput(program);
  for (const name of ['APP_DEBUG', 'APP_PORT', 'SECURITY_JWT_SECRET']) {
    assert.equal(lines.filter(({ message }) => String(message).startsWith(name)).length, 1, name);
  }
  for (const { level, event, environment } of lines) {
    assert.deepEqual([level, event, environment], ['critical', 'application.failed', 'production']);
  }
});

test('a program in production writes no banner, and a warning of Node and an uncaught error are JSON lines', async (t) => {
  const code = join(await mustMakeFolder(t), 'faults.cjs');
  await writeFile(
    code,
    `const wait = setInterval(() => {
       if (process.listenerCount('uncaughtException') === 0) return;
       clearInterval(wait);
       setTimeout(() => process.emitWarning('an old option', { code: 'DEP9999' }), 100);
       setTimeout(() => { throw new TypeError('a bug'); }, 200);
     }, 5);`,
  );
  const program = startProgram(t, { ...production, NODE_OPTIONS: `--require ${code}` });
  assert.equal((await program.ended).code, 70);
  const lines = mustParseOutput(program);
  const errorOf = (wanted: string) => JSON.stringify(lines.find(({ event }) => event === wanted)?.error);
  assert.match(errorOf('process.warning'), /an old option.*DEP9999/);
  assert.match(errorOf('application.failed'), /TypeError.*a bug/);
});

test('a start on a terminal writes readable lines, and then the banner with a link to the jobs that has the local token', async (t) => {
  if (spawnSync('script', ['--version']).status !== 0) return t.skip('the command script is not installed');
  const folder = await mustMakeFolder(t);
  const command = [process.execPath, ...commandOf('main')].map((part) => `'${part}'`).join(' ');
  const child = spawn('script', ['-qefc', `exec ${command}`, join(folder, 'typescript')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...{ PATH: process.env.PATH, HOME: process.env.HOME, TERM: 'dumb', SECURITY_JWT_SECRET: testSecret },
      ...{ APP_PORT: '0', APP_MANAGEMENT_PORT: '0', APP_DATABASE_URL: 'none', APP_MANAGEMENT_TOKEM: 'x' },
      APP_DATA_DIR: folder,
    },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    output += part;
    // Ctrl+C, as a terminal sends it.
    if (!child.stdin.writableEnded && output.includes('Warning: APP_')) child.stdin.end('\u0003');
  });
  await once(child, 'close');
  const lines = output.split('\r\n');
  const ready = lines.findIndex((line) => /^[\d:.]{12} {2}INFO {6}application\.ready {2}url=http/.test(line));
  const title = lines.findIndex((line) => /^\w.* \(local\)$/.test(line));
  const stop = lines.findIndex((line) => /^ {2}Stop +Ctrl\+C$/.test(line));
  const advice = lines.findIndex((line) => line.startsWith('  Warning: APP_MANAGEMENT_TOKEM'));
  const draining = lines.findIndex((line) => line.includes('application.draining'));
  assert.ok(0 <= ready && ready < title && title < stop && stop < advice && advice < draining, output);
  assert.deepEqual(
    lines.slice(title, draining).filter((line) => line.length > 80 || /^\d\d:/.test(line)),
    [],
  );
  assert.doesNotMatch(output, /\u001b\[|"event"/);
  const token = (await readFile(join(folder, 'management-token'), 'utf8')).trim();
  assert.equal(output.split(token).length, 2, 'the token is printed once, in the link');
  assert.match(output, /^ {2}Jobs +http:\/\/127\.0\.0\.1:\d+\/jobs#token=[\w-]{32}\r$/m);
});

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';

const source = (name: string) =>
  JSON.stringify(new URL(`../../src/observability/${name}.ts`, import.meta.url).href);

/** Starts a program that has `log` and `destination`; its standard output goes to `stdout`. */
function start(format: 'json' | 'console', program: string, stdout: 'pipe' | number = 'pipe') {
  const code = `
    import { createLogger } from ${source('logger')};
    import { openLogDestination } from ${source('log-destination')};
    const destination = openLogDestination('${format}');
    const log = createLogger({ level: 'DEBUG', destination });
    ${program}
  `;
  const args = ['--import', 'tsx', '--input-type=module', '--eval', code];
  return spawn(process.execPath, args, { stdio: ['ignore', stdout, 'pipe'] });
}

/** Runs such a program; what it printed and how it ended. */
async function run(format: 'json' | 'console', program: string, closeStdout = false) {
  const child = start(format, program);
  assert.ok(child.stdout && child.stderr);
  if (closeStdout) child.stdout.destroy();
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const [stdout, stderr] = await Promise.all([closeStdout ? '' : text(child.stdout), text(child.stderr)]);
  return { lines: stdout.split('\n').slice(0, -1), stderr, code: await exited };
}

describe('standard output', { concurrency: true }, () => {
  it('gets every line whole and in order, and all of them before an exit that waits for the flush', async () => {
    const { lines, code } = await run(
      'json',
      `for (let user_id = 0; user_id < 5000; user_id += 1) log.info('user.created', { user_id });
       await destination.flush();
       process.exit(3);`,
    );
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).user_id),
      Array.from({ length: 5000 }, (_, index) => index),
    );
    assert.equal(code, 3);
  });

  it('gets a line within moments, without a flush', async () => {
    const { lines } = await run('json', `log.info('user.created');`);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).event),
      ['user.created'],
    );
  });

  it('is written for a person in the console format', async () => {
    const { lines } = await run(
      'console',
      `log.warning('user.created', { user_id: 7 }); await destination.flush(); process.exit(0);`,
    );
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /WARNING.*user\.created.*"user_id":7/);
  });

  it('that nobody reads any more does not end the program', async () => {
    const { code, stderr } = await run(
      'json',
      `for (let round = 0; round < 20; round += 1) {
         log.info('user.created', { filler: 'x'.repeat(100_000) });
         await new Promise((resolve) => setTimeout(resolve, 30));
       }
       process.exit(7);`,
      true,
    );
    assert.deepEqual([code, stderr], [7, '']);
  });

  it('that refuses every write, as a full disk does, or is not read does not keep the program from ending', async (t) => {
    const unwritable = await open('/dev/null', 'r');
    t.after(() => unwritable.close());
    const program = `
      log.info('user.created', { filler: 'x'.repeat(1_000_000) });
      await destination.flush();
      process.exit(7);`;
    for (const stdout of ['pipe', unwritable.fd] as const) {
      const child = start('json', program, stdout);
      t.after(() => child.kill('SIGKILL'));
      assert.deepEqual(await once(child, 'exit', { signal: AbortSignal.timeout(10_000) }), [7, null]);
    }
  });
});

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { chooseLogFormat } from '../../../src/observability/log/log-destination.ts';
import { mustMakeFolder } from '../../helpers/program.ts';
import { sourceArguments } from '../../helpers/source-arguments.ts';

const source = (name: string) =>
  JSON.stringify(new URL(`../../../src/observability/${name}.ts`, import.meta.url).href);

/** The program exits within two seconds or not at all, but its start alone took eight on a busy machine. */
const timeoutMs = 30_000;

/** Node with the arguments that run our sources, for a shell. */
const nodeCommand = [process.execPath, ...sourceArguments()].map((word) => `"${word}"`).join(' ');

/** The source of a program with a `log` and its `destination`. */
const codeOf = (format: 'json' | 'console', program: string) => `
  import { createLogger } from ${source('logger')};
  import { openLogDestination } from ${source('log/log-destination')};
  const destination = openLogDestination('${format}');
  const log = createLogger({ level: 'DEBUG', destination });
  ${program}
`;

/** Starts such a program with `stdout` as its standard output. */
function start(format: 'json' | 'console', program: string, stdout: 'pipe' | number = 'pipe') {
  const args = [...sourceArguments(), '--input-type=module', '--eval', codeOf(format, program)];
  return spawn(process.execPath, args, { stdio: ['ignore', stdout, 'pipe'] });
}

/** Returns such a program as a shell command: a shell connects commands by pipes, Node by sockets. */
async function mustMakeCommand(t: TestContext, program: string) {
  const file = join(await mustMakeFolder(t), 'program.mjs');
  await writeFile(file, codeOf('json', program));
  return `${nodeCommand} "${file}"`;
}

/** Runs such a program, and returns its output and its exit code. */
async function run(format: 'json' | 'console', program: string, closeStdout = false) {
  const child = start(format, program);
  assert.ok(child.stdout && child.stderr);
  if (closeStdout) child.stdout.destroy();
  const exited = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const [stdout, stderr] = await Promise.all([closeStdout ? '' : text(child.stdout), text(child.stderr)]);
  return { lines: stdout.split('\n').slice(0, -1), stderr, code: await exited };
}

describe('the format of the log', () => {
  const cases = [
    ['auto', 'local', true, 'console'],
    ['auto', 'local', false, 'json'],
    ['auto', 'test', true, 'json'],
    ['auto', 'staging', true, 'json'],
    ['auto', 'production', true, 'json'],
    ['json', 'local', true, 'json'],
    ['console', 'production', false, 'console'],
  ] as const;
  for (const [setting, environment, isTerminal, format] of cases) {
    const place = isTerminal ? 'a terminal' : 'a file or a pipe';
    it(`the format ${setting} on ${place} in ${environment} is ${format}`, () => {
      assert.equal(chooseLogFormat(setting, environment, isTerminal), format);
    });
  }
});

describe('standard output', { concurrency: true }, () => {
  it('standard output gets all lines complete and in order, before an exit that awaits the flush', async () => {
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

  it('standard output gets a line after a short time without a flush', async () => {
    const { lines } = await run('json', `log.info('user.created');`);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).event),
      ['user.created'],
    );
  });

  it('the console format writes text, without colours to what is not a terminal', async () => {
    const { lines } = await run(
      'console',
      `log.warning('user.created', { user_id: 7 }); await destination.flush(); process.exit(0);`,
    );
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /^\d\d:\d\d:\d\d\.\d{3} {2}WARNING {3}user\.created {2}user_id=7$/);
  });

  it('a standard output without a reader does not crash the program', async () => {
    const { code, stderr } = await run(
      'json',
      // The pause lets the reader exit while lines are still written.
      `for (let round = 0; round < 20; round += 1) {
         log.info('user.created', { filler: 'x'.repeat(100_000) });
         await new Promise((resolve) => setTimeout(resolve, 30));
       }
       process.exit(7);`,
      true,
    );
    assert.deepEqual([code, stderr], [7, '']);
  });

  it('a standard output that rejects writes, as a full disk does, or is not read does not prevent the exit', async (t) => {
    const unwritable = await open('/dev/null', 'r');
    t.after(() => unwritable.close());
    const program = `
      log.info('user.created', { filler: 'x'.repeat(1_000_000) });
      await destination.flush();
      process.exit(7);`;
    for (const stdout of ['pipe', unwritable.fd] as const) {
      const child = start('json', program, stdout);
      t.after(() => child.kill('SIGKILL'));
      assert.deepEqual(await once(child, 'exit', { signal: AbortSignal.timeout(timeoutMs) }), [7, null]);
    }
  });

  it('a stdout pipe without a reader neither crashes the program nor prevents its exit', async (t) => {
    const program = await mustMakeCommand(
      t,
      // The pause lets the reader exit while lines are still written.
      `for (let round = 0; round < 20; round += 1) {
         log.info('user.created', { filler: 'x'.repeat(100_000) });
         await new Promise((resolve) => setTimeout(resolve, 10));
       }
       await destination.flush();
       process.exit(7);`,
    );
    for (const reader of ['true', 'sleep 5']) {
      const child = spawn('bash', ['-c', `${program} | ${reader}; exit \${PIPESTATUS[0]}`]);
      assert.deepEqual(await once(child, 'exit', { signal: AbortSignal.timeout(timeoutMs) }), [7, null]);
    }
  });
});

describe('standard output that two processes share, with a slow reader', { concurrency: true }, () => {
  const linesOfOne = 17_000;
  /** One line in twenty is too long and is cut, and some have the maximum length. Pauses let the two writers alternate. */
  const program = `
    import { createLogger } from ${source('logger')};
    import { openLogDestination } from ${source('log/log-destination')};
    if (process.argv[3] === 'nobody' && process.getuid() === 0) {
      process.setgid(65534);
      process.setuid(65534);
    }
    const destination = openLogDestination('json');
    const log = createLogger({ level: 'DEBUG', destination });
    const [writer] = process.argv.slice(2);
    const long = 'x'.repeat(20_000);
    for (let n = 0; n < ${linesOfOne}; n += 1) {
      if (n % 200 === 0) log.info('user.created', { writer, n, filler: [long, long, long, long] });
      else if (n % 20 === 0) log.info('user.created', { writer, n, filler: long });
      else log.line('INFO', 'user.created', ',"writer":"' + writer + '","n":' + n + ',"filler":"' + 'ä'.repeat(n % 90) + '"');
      if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await destination.flush();`;
  /** A reader that reads 4,096 bytes at a time and pauses now and then, so that the pipe is full most of the time. */
  const reader = `"${process.execPath}" -e "const fs = require('fs'), b = Buffer.alloc(4096); for (let n, i = 0; (n = fs.readSync(0, b)) > 0; i += 1) { fs.writeSync(1, b.subarray(0, n)); if (i % 32 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1); }"`;

  const table: [what: string, script: (writer: string, folder: string) => string][] = [
    ['a pipe', (writer) => `(${writer} a & ${writer} b & wait) | ${reader}`],
    [
      'a pipe of another user, which cannot be opened again',
      (writer, folder) =>
        `mkfifo ${folder}/fifo; ${reader} < ${folder}/fifo & exec 3> ${folder}/fifo; chmod 0 ${folder}/fifo
         (${writer} a nobody & ${writer} b nobody & wait) >&3; exec 3>&-; wait`,
    ],
    ['a socket', (writer) => `${writer} a & ${writer} b & wait`],
  ];
  for (const [what, scriptOf] of table) {
    it(`all lines arrive complete and in the order of their writer through ${what}`, async (t) => {
      const folder = await mustMakeFolder(t);
      const file = join(folder, 'writer.mjs');
      await writeFile(file, program);
      const writer = `${nodeCommand} "${file}"`;
      const child = spawn('sh', ['-c', scriptOf(writer, folder)], { stdio: ['ignore', 'pipe', 'inherit'] });
      t.after(() => child.kill());
      const next = new Map([
        ['a', 0],
        ['b', 0],
      ]);
      for await (const line of createInterface({ input: child.stdout })) {
        assert.ok(Buffer.byteLength(line) < 4096, line);
        const { writer: name, n } = JSON.parse(line);
        assert.equal(n, next.get(name));
        next.set(name, Number(n) + 1);
      }
      assert.deepEqual(Object.fromEntries(next), { a: linesOfOne, b: linesOfOne });
    });
  }
});

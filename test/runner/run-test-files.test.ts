import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { eventually } from '../helpers/eventually.ts';
import { createProgress } from './progress.ts';
import { type RunTestFilesOptions, runTestFiles, type TestFile } from './run-test-files.ts';

const head = "import assert from 'node:assert/strict';\nimport { after, describe, it } from 'node:test';\n";

/** Runs files with these texts, named `0.test.mjs` and so on, as `npm test` does. */
async function runTexts(
  t: TestContext,
  texts: readonly string[],
  options: Partial<RunTestFilesOptions> & { readonly isAlone?: boolean; readonly isVerbose?: boolean } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'strata-runner-'));
  t.after(() => rm(folder, { recursive: true }));
  const files: TestFile[] = [];
  for (const [n, text] of texts.entries()) {
    const file = join(folder, `${n}.test.mjs`);
    await writeFile(file, head + text);
    files.push({ file, isAlone: options.isAlone ?? false });
  }
  let output = '';
  const progress = createProgress(
    { write: (text: string) => (output += text) },
    { root: folder, files: files.length, expectedMs: undefined, isVerbose: options.isVerbose ?? false },
  );
  const problems = await runTestFiles(files, {
    processes: 1,
    timeoutMs: 60_000,
    namePatterns: [],
    env: process.env,
    signal: new AbortController().signal,
    onResult: progress.onResult,
    onFile: progress.onFile,
    ...options,
  });
  const hasPassed = progress.finish(problems);
  const count = (name: string) => Number(new RegExp(`^ℹ ${name} (\\d+)$`, 'm').exec(output)?.[1]);
  return { hasPassed, output, count, folder };
}

describe('the runner of the tests', () => {
  it('passing tests are counted and not listed', async (t) => {
    const { hasPassed, output, count } = await runTexts(t, [
      "describe('a suite', () => { it('passes', () => {}); it('passes too', () => {}); });",
      "it('passes in the next file', () => {});",
    ]);
    assert.ok(hasPassed, output);
    assert.deepEqual(['tests', 'suites', 'pass', 'fail'].map(count), [3, 1, 3, 0]);
    assert.doesNotMatch(output, /passes/);
  });

  it('the option verbose lists passing tests with their suites', async (t) => {
    const { output } = await runTexts(t, ["describe('a suite', () => { it('passes', () => {}); });"], {
      isVerbose: true,
    });
    assert.match(output, /✔ a suite > passes \(\d+ ms\)/);
  });

  it('a failure is printed with its file and line, its suites and the difference, at once and at the end', async (t) => {
    const { hasPassed, output, count } = await runTexts(t, [
      "describe('a suite', () => {\n  it('fails', () => {\n    assert.deepEqual([1], [2]);\n  });\n});",
      "it('passes', () => {});",
    ]);
    assert.equal(hasPassed, false);
    assert.deepEqual(['pass', 'fail'].map(count), [1, 1]);
    assert.equal(output.match(/^✖ \S*0\.test\.mjs:5:12 {2}a suite > fails\n/gm)?.length, 2, output);
    assert.match(output, /^ {4}\+ {3}1\n {4}- {3}2$/m);
  });

  it('what a failed file wrote is printed, and what a passed file wrote is not', async (t) => {
    const { output } = await runTexts(t, [
      "it('fails', () => { console.log('from the failed'); assert.ok(false); });",
      "it('passes', () => { console.log('from the passed'); });",
    ]);
    assert.match(output, /from the failed/);
    assert.doesNotMatch(output, /from the passed/);
  });

  for (const [what, text, problem] of [
    ['exits', "it('exits', () => process.exit(3));", /process exited with 3/],
    ['is killed', "it('dies', () => process.kill(process.pid, 'SIGKILL'));", /process died of SIGKILL/],
    ['does not load', "await import('./missing.mjs');", /Cannot find module/],
    [
      'throws outside its tests',
      "it('ends early', () => { setImmediate(() => { throw new Error('too late'); }); });\nit('waits', (t, done) => setTimeout(done, 20));",
      /too late/,
    ],
    [
      'leaves a server open',
      "import net from 'node:net';\nit('listens', (t, done) => { net.createServer().listen(0, done); });",
      /left open: TCPServerWrap/,
    ],
    [
      'changes the environment',
      "it('sets', () => { process.env.STRATA_X = '1'; });",
      /changes environment variables: now STRATA_X=1/,
    ],
    [
      'leaves a listener of the process',
      "it('listens', () => { process.on('SIGUSR2', () => {}); });",
      /changes listeners of the process: now 1 SIGUSR2/,
    ],
  ] as const) {
    it(`a file that ${what} fails, and the next file still runs`, async (t) => {
      const { hasPassed, output, count } = await runTexts(t, [text, "it('is the next', () => {});"], {
        isVerbose: true,
        env: { ...process.env, STRATA_TEST_SETTLE_MS: '50' },
      });
      assert.equal(hasPassed, false);
      assert.match(output, problem);
      assert.match(output, /✔ is the next/);
      assert.equal(count('fail'), 1, output);
    });
  }

  it('a file that hangs is stopped after the time limit, with the name of the test that hung', async (t) => {
    const { hasPassed, output } = await runTexts(
      t,
      [
        // The time limit of the next file does not include the start of the process.
        "it('is the first', () => {});",
        "it('hangs', (t, done) => { setInterval(() => {}, 1000); });",
        "it('is the next', () => {});",
      ],
      { isVerbose: true, timeoutMs: 4_000 },
    );
    assert.equal(hasPassed, false);
    assert.match(output, /did not end within 4 s during "hangs"/);
    assert.match(output, /✔ is the next/);
  });

  it('a name pattern runs the tests whose name matches, and counts no others', async (t) => {
    const { output, count } = await runTexts(
      t,
      [
        "describe('a suite', () => { it('a proxy', () => {}); it('a server', () => assert.fail()); });",
        "it('a client', () => assert.fail());",
      ],
      { namePatterns: ['prox'], isVerbose: true },
    );
    assert.match(output, /✔ a suite > a proxy/);
    assert.deepEqual(['tests', 'pass', 'fail', 'skipped'].map(count), [1, 1, 0, 0]);
  });

  it('a skipped suite and a skipped test are counted, and listed by name', async (t) => {
    const { hasPassed, output, count } = await runTexts(t, [
      "describe('with a server', { skip: 'no server' }, () => { it('asks it', () => assert.fail()); });",
      "it('a client', { skip: true }, () => assert.fail()); it('a proxy', () => {});",
    ]);
    assert.equal(hasPassed, true);
    assert.deepEqual(['pass', 'fail', 'skipped'].map(count), [1, 0, 2]);
    assert.match(output, /^﹣ skipped: with a server$/m);
    assert.match(output, /^﹣ skipped: a client$/m);
  });

  it('a name pattern that matches no test fails the run', async (t) => {
    const { hasPassed, output } = await runTexts(t, ["it('a client', () => {});"], {
      namePatterns: ['prox'],
    });
    assert.equal(hasPassed, false);
    assert.match(output, /^No test ran\.$/m);
  });

  it('the hooks at the top of a file run for that file alone, before the next file', async (t) => {
    const { output, hasPassed } = await runTexts(t, [
      "import { writeFileSync } from 'node:fs';\nafter(() => writeFileSync(import.meta.dirname + '/closed', ''));\nit('opens', () => {});",
      "import { existsSync } from 'node:fs';\nit('is after', () => assert.ok(existsSync(import.meta.dirname + '/closed')));",
    ]);
    assert.ok(hasPassed, output);
  });

  it('files share a process, except one that asks for its own', async (t) => {
    const text = "it('process ' + process.pid, () => {});";
    const pidsOf = (output: string) => new Set(output.match(/process \d+/g)).size;
    const shared = await runTexts(t, [text, text], { isVerbose: true });
    const alone = await runTexts(t, [text, text], { isVerbose: true, isAlone: true });
    assert.deepEqual([pidsOf(shared.output), pidsOf(alone.output)], [1, 2]);
  });

  it('an interrupted run kills the test processes and what they have started', async (t) => {
    const stop = new AbortController();
    const folder = await mkdtemp(join(tmpdir(), 'strata-runner-'));
    t.after(() => rm(folder, { recursive: true }));
    const pidFile = join(folder, 'pid');
    const running = runTexts(
      t,
      [
        `import { spawn } from 'node:child_process';\nimport { writeFileSync } from 'node:fs';\nit('starts', (t, done) => { writeFileSync('${pidFile}', String(spawn('sleep', ['1000']).pid)); });`,
      ],
      { signal: stop.signal },
    );
    let pid = 0;
    await eventually('the file runs', async () => {
      pid = Number(await readFile(pidFile, 'utf8').catch(() => ''));
      return pid > 0;
    });
    stop.abort();
    await running;
    await eventually('the started process has ended', () => !isRunning(pid));
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

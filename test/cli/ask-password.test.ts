import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { askNewPassword, readPassword } from '../../src/cli/ask-password.ts';
import { StartError } from '../../src/errors.ts';

/** Creates a terminal whose user types one piece of `keys` at each question. */
function typing(...keys: string[]) {
  const input = new PassThrough();
  const output = new PassThrough();
  let shown = '';
  output.on('data', (chunk) => {
    shown += chunk;
    if (/: $/.test(shown)) input.write(keys.shift() ?? '');
  });
  return { terminal: { input, output }, shown: () => shown };
}

const enter = '\r';
const backspace = '\x7f';
const controlC = '\x03';
const controlD = '\x04';

describe('a password that is asked for', () => {
  it('a password is typed twice, can be corrected, and is not echoed', async () => {
    const { terminal, shown } = typing(`hunter3${backspace}2${enter}`, `hunter2${enter}`);
    assert.equal(await askNewPassword(terminal), 'hunter2');
    assert.equal(shown(), 'Password: \nAgain: \n');
  });

  it('two different passwords are rejected', async () => {
    const { terminal } = typing(`hunter2${enter}`, `hunter3${enter}`);
    await assert.rejects(
      askNewPassword(terminal),
      new StartError('The two passwords differ. Nothing was changed: try again.'),
    );
  });

  for (const [name, key] of [
    ['Ctrl+C', controlC],
    ['Ctrl+D', controlD],
  ] as const) {
    it(`${name} cancels the question`, async () => {
      const { terminal } = typing(key);
      await assert.rejects(
        askNewPassword(terminal),
        new StartError('No password was entered. Nothing was changed: try again.'),
      );
    });
  }
});

describe('a password that is piped in', () => {
  for (const [piped, expected] of [
    ['hunter2', 'hunter2'],
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    [' hunter 2 \n', ' hunter 2 '],
    ['hünter2\n\n', 'hünter2\n'],
    ['', ''],
  ] as const) {
    it(`the piped text ${JSON.stringify(piped)} gives the password ${JSON.stringify(expected)}`, async () => {
      assert.equal(await readPassword(Readable.from([Buffer.from(piped)])), expected);
    });
  }
});

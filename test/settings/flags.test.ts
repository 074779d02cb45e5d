import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseFlags, renderHelp } from '../../src/settings/flags.ts';

describe('the flags of start', () => {
  test('flags set the variables of the same names', () => {
    assert.deepEqual(parseFlags(['--host', '0.0.0.0', '--port=9000', '--workers', 'auto']), {
      overrides: { APP_HOST: '0.0.0.0', APP_PORT: '9000', APP_WORKERS: 'auto' },
      help: false,
    });
  });

  test('all flags can be omitted', () => {
    assert.deepEqual(parseFlags([]), { overrides: {}, help: false });
  });

  test('the last value of a repeated flag is used', () => {
    assert.deepEqual(parseFlags(['--port', '1', '--port', '2']).overrides, { APP_PORT: '2' });
  });

  for (const flag of ['--help', '-h']) {
    test(`${flag} prints the help`, () => assert.equal(parseFlags([flag]).help, true));
  }

  for (const [argv, message] of [
    [['--prot', '9000'], 'There is no flag --prot: did you mean --port.'],
    [['--frobnicate'], 'There is no flag --frobnicate: see --help for the flags.'],
    [['-p', '9000'], 'There is no flag -p: see --help for the flags.'],
    [['--__proto__=1'], 'There is no flag --__proto__: see --help for the flags.'],
    [['--port'], '--port needs a value: write --port <value> or --port=<value>.'],
    [['--port='], '--port needs a value: write --port <value> or --port=<value>.'],
    [['--port', '--workers', '2'], '--port needs a value: write --port <value> or --port=<value>.'],
    [['9000'], 'The argument "9000" is not valid: see --help for the flags.'],
    [['--', '9000'], 'The argument "9000" is not valid: see --help for the flags.'],
  ] as const) {
    test(`${argv.join(' ')} is rejected with one sentence`, () => {
      assert.throws(() => parseFlags(argv), { name: 'StartError', message });
    });
  }

  test('the help lists all flags with their variables and defaults', () => {
    const help = renderHelp();
    for (const part of ['--host', '--port', '--workers', '--help', 'Sets APP_PORT; default 8000.']) {
      assert.ok(help.includes(part), `${part} is missing`);
    }
  });
});

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { gatherLines } from '../../../src/observability/log/gather-lines.ts';

/** Gathers up to 32 bytes for 20 ms, with a mocked clock. */
function gather(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const parts: string[] = [];
  const take = (lines: Uint8Array) => void parts.push(Buffer.from(lines).toString());
  return {
    parts,
    gathered: gatherLines({ bytes: 32, ms: 20, take }),
    pass: (ms: number) => t.mock.timers.tick(ms),
  };
}

describe('gatherLines', () => {
  it('lines are passed on together when the first has waited for the maximum time', (t) => {
    const { parts, gathered, pass } = gather(t);
    gathered.add('one\n');
    pass(15);
    gathered.add('two\n');
    pass(4);
    assert.deepEqual(parts, []);
    pass(1);
    assert.deepEqual(parts, ['one\ntwo\n']);
    pass(100);
    assert.deepEqual(parts, ['one\ntwo\n']);
  });

  it('a batch is passed on at once when it has the maximum number of bytes, also with multi-byte characters', (t) => {
    const { parts, gathered } = gather(t);
    gathered.add(`${'€'.repeat(10)}\n`);
    gathered.add('\n');
    assert.deepEqual(parts, [`${'€'.repeat(10)}\n\n`]);
  });

  it('lines stay complete and in order, and no batch exceeds the maximum unless a single line does', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 20 })), (texts) => {
        const lines = texts.map((text) => `${text.replaceAll('\n', ' ')}\n`);
        const parts: Uint8Array[] = [];
        const gathered = gatherLines({
          bytes: 32,
          ms: 1,
          take: (part) => void parts.push(Buffer.from(part)),
        });
        for (const line of lines) gathered.add(line);
        gathered.pass();
        assert.equal(Buffer.concat(parts).toString(), lines.join(''));
        for (const part of parts) {
          const text = Buffer.from(part).toString();
          assert.ok(text.endsWith('\n'));
          assert.ok(part.length <= 32 || text.indexOf('\n') === text.length - 1);
        }
      }),
    );
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TaskRejection } from '../../../src/jobs/task.ts';
import { outcomeOfError } from '../../../src/jobs/thread/outcome.ts';
import { describeThrown, maxMessage, maxStack, truncateText } from '../../../src/jobs/thread/thrown.ts';
import { oddValues } from '../../helpers/odd-values.ts';

/** The factories of odd values without the large ones, which would take too long to create so often. */
const oddValue = fc.constantFrom(
  ...Object.entries(oddValues).flatMap(([name, make]) => (/20 MB|largest/.test(name) ? [] : [make])),
);

const always = (value: unknown) => () => value;

describe('a thrown value', () => {
  const messages: [what: string, message: RegExp][] = [
    ['undefined', /^Thrown value: undefined$/],
    ['a symbol', /^Thrown value: Symbol\(odd\)$/],
    ['a function', /^Thrown value: a function$/],
    ['an instance of a class', /^Thrown value: \{"name":"an account"\}$/],
    ['a circular reference', /^Thrown value: an object that cannot be shown as JSON$/],
    ['a revoked proxy', /^Thrown value: an object that cannot be shown as JSON$/],
    ['a message that is an object', /^Error, with a message that is not a string: \{"a":1\}$/],
    ['a message that is a number', /^Error, with a message that is not a string: 7$/],
    ['a message that is a symbol', /^Error, with a message that is not a string: Symbol\(odd\)$/],
    ['an error whose message throws', /^Error$/],
    ['an error of 20 MB', /^x+ \.\.\. \(\d+ more characters were cut\)$/],
  ];
  for (const [what, message] of messages) {
    it(`a thrown value that is ${what} is described in a sentence`, () => {
      assert.match(describeThrown(oddValues[what]?.()).message, message);
    });
  }

  it('any thrown value has a message and a stack of bounded length', () => {
    for (const [what, make] of Object.entries(oddValues)) {
      const { message, stack = '' } = describeThrown(make());
      assert.ok(message.length > 0 && message.length <= maxMessage, what);
      assert.ok(stack.length <= maxStack, what);
    }
  });

  it('a stack with a long message keeps its frames', () => {
    const { stack } = describeThrown(new Error('x'.repeat(100_000)));
    assert.match(stack ?? '', /were cut\)\n {4}at .*thrown\.test/);
  });

  it('any thrown value becomes an outcome of plain, bounded data', () => {
    const odd = fc.oneof(
      fc.anything({ withBigInt: true, withDate: true, withMap: true }).map(always),
      oddValue,
    );
    const error = fc
      .record(
        { message: odd, name: odd, stack: odd, cause: odd, code: odd, details: odd },
        { requiredKeys: [] },
      )
      .map((properties) => () => {
        const made = new TaskRejection('It refuses.');
        // Node creates the stack on the first read, from the name that the error has at that time.
        assert.ok(made.stack);
        for (const [name, make] of Object.entries(properties)) {
          Object.defineProperty(made, name, { value: make() });
        }
        return made;
      });
    fc.assert(
      fc.property(fc.oneof(odd, error), (make) => {
        const thrown = make();
        const outcome = outcomeOfError(thrown);
        assert.deepEqual(structuredClone(outcome), outcome);
        assert.ok(JSON.stringify(outcome).length < 250_000);
      }),
      { numRuns: 1_000 },
    );
  });
});

it('a cut text has exactly the maximum length, and states how much is missing', () => {
  assert.equal(truncateText('abc', 3), 'abc');
  assert.equal(truncateText('x'.repeat(5000), 100).length, 100);
  assert.match(truncateText('x'.repeat(5000), 100), /^x+ \.\.\. \(4900 more characters were cut\)$/);
});

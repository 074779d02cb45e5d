import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import { runInNewContext } from 'node:vm';
import {
  AppError,
  causesOf,
  needsPackage,
  reasonOf,
  recordStacksOfAppErrors,
  withoutStacks,
} from '../src/errors.ts';

const refused = (address: string) =>
  Object.assign(new Error(`connect ECONNREFUSED ${address}`), { code: 'ECONNREFUSED' });
const circle = new Error('round');
circle.cause = circle;
const unreadable = new Error('x');
Object.defineProperty(unreadable, 'message', {
  get() {
    throw new Error('no');
  },
});

describe('the reason of an error names everything that led to it', () => {
  for (const [what, error, reason] of [
    ['a message', new Error('It broke.'), 'It broke'],
    ['a message of several lines', new Error('It\n  broke.\n'), 'It broke'],
    [
      'a cause',
      new Error('It broke.', { cause: new Error('The disk is full.') }),
      'It broke: The disk is full',
    ],
    [
      'several causes',
      new AppError('internal', 'a', { cause: new Error('b', { cause: new Error('c') }) }),
      'a: b: c',
    ],
    [
      'a cause that the message has already',
      new Error('It broke: full.', { cause: new Error('full') }),
      'It broke: full',
    ],
    [
      'the rejections of all addresses of a host',
      new AggregateError([refused('::1:5432'), refused('127.0.0.1:5432')]),
      'connect ECONNREFUSED ::1:5432; connect ECONNREFUSED 127.0.0.1:5432',
    ],
    [
      'several errors below a message',
      new Error('No database', {
        cause: new AggregateError([refused('a'), refused('a'), new Error('b')], 'None answers'),
      }),
      'No database: None answers: connect ECONNREFUSED a; b',
    ],
    ['a code where there is no message', Object.assign(new Error(''), { code: 'EIO' }), 'EIO'],
    ['a name where there is neither', new TypeError(''), 'TypeError'],
    ['a text that was thrown', 'broken', 'broken'],
    ['a text as a cause', new Error('It broke', { cause: 'so' }), 'It broke: so'],
    ['nothing', undefined, 'no reason was given'],
    ['a circle, once', circle, 'round'],
    ['a message that is no text', Object.assign(new Error(), { message: { a: 1 } }), 'Error'],
    ['a message that cannot be read', unreadable, 'an error that cannot be read'],
    ['an object without a prototype', Object.create(null), '[Object: null prototype] {}'],
    ['an error copied to plain data', { code: 'thread_ended', message: 'It broke.', stack: 'x' }, 'It broke'],
    ['plain data as a cause', new Error('a', { cause: { message: 'b.', cause: new Error('c') } }), 'a: b: c'],
    ['an error of another realm', runInNewContext('new TypeError("It broke.")'), 'It broke'],
    ['an object that is no error', { status: 'down', tries: 3 }, "{ status: 'down', tries: 3 }"],
    ['a symbol', Symbol('x'), 'Symbol(x)'],
  ] as const) {
    it(what, () => assert.equal(reasonOf(error), reason));
  }

  it('up to eight of them', () => {
    const deep = Array.from({ length: 20 }, (_each, at) => at).reduce(
      (cause, at) => new Error(`level ${at}.`, { cause }),
      new Error('start'),
    );
    assert.equal(reasonOf(deep).split(': ').length, 8);
  });
});

describe('the causes of an error', () => {
  it('the causes include the error, its cause, and the errors of an AggregateError with their causes', () => {
    const root = new Error('root');
    const [first, second] = [new Error('first', { cause: root }), new Error('second')];
    const several = new AggregateError([first, second]);
    const outer = new Error('outer', { cause: several });
    assert.deepEqual(causesOf(outer), [outer, several, first, second, root]);
  });

  it('a cycle of causes is listed once', () => {
    const error = new Error('circular');
    error.cause = new Error('inner', { cause: error });
    assert.deepEqual(causesOf(error), [error, error.cause]);
  });

  it('a thrown value that is no error is its only cause', () => {
    assert.deepEqual(causesOf('broken'), ['broken']);
  });
});

describe('an optional package', () => {
  it('that import() or require() does not find gives the npm install command', async () => {
    const name = 'strata-missing-package';
    for (const load of [() => import(name), async () => createRequire(import.meta.url)(name)]) {
      const error = await load().catch((reason: unknown) => reason);
      assert.equal(needsPackage(name, error), `needs the package ${name}: run \`npm install ${name}\``);
    }
  });

  it('that fails while it is loaded keeps its own error', () => {
    const broken = new Error('The package is broken.');
    assert.throws(() => needsPackage('x', broken), broken);
  });
});

describe('the stacks of expected failures', () => {
  it('an AppError has a stack, except if they are turned off; a fault of the program always has one', (t) => {
    t.after(() => recordStacksOfAppErrors(true));
    assert.match(new AppError('not_found', 'No.').stack ?? '', /\n +at /);
    recordStacksOfAppErrors(false);
    assert.doesNotMatch(new AppError('not_found', 'No.').stack ?? '', /\n +at /);
    for (const code of ['response_invalid', 'internal'] as const) {
      assert.match(new AppError(code, 'No.').stack ?? '', /\n +at /);
    }
    assert.match(new Error('after them').stack ?? '', /\n +at /);
  });

  it('work without stacks returns its result or throws its error, and errors after it have stacks again', () => {
    assert.equal(
      withoutStacks(() => 7),
      7,
    );
    assert.throws(
      () => withoutStacks(() => JSON.parse('{')),
      (error) => error instanceof SyntaxError && !/\n +at /.test(error.stack ?? ''),
    );
    assert.match(new Error('after it').stack ?? '', /\n +at /);
  });
});

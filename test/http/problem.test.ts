import assert from 'node:assert/strict';
import { STATUS_CODES } from 'node:http';
import { describe, it } from 'node:test';
import { AppError, errorCodes } from '../../src/errors.ts';
import {
  describeProblem,
  maxDetailLength,
  maxPointerLength,
  problemKinds,
  problemType,
  replyWithProblem,
  statusOf,
} from '../../src/http/problem.ts';
import { makeContext } from '../helpers/context.ts';

describe('a problem', () => {
  for (const code of errorCodes) {
    it(`the code ${code} has a status of HTTP, a title and its own type`, () => {
      const { status, title } = problemKinds[code];
      assert.ok(STATUS_CODES[status] !== undefined || code === 'client_gone');
      assert.ok(status >= 400 && title !== '');
      assert.match(problemType(code), /^urn:strata:problem:[a-z-]+$/);
    });
  }

  it('the problem of an AppError has its message, fields and layer', () => {
    const errors = [{ in: 'body', pointer: '/a', detail: 'Wrong.' }] as const;
    const error = new AppError('conflict', 'It is taken.', {
      errors,
      layer: 'x',
      cause: new Error('secret'),
    });
    assert.deepEqual(describeProblem(error, { instance: '/a', requestId: 'r1' }), {
      type: 'urn:strata:problem:conflict',
      title: 'Conflict',
      status: 409,
      detail: 'It is taken.',
      instance: '/a',
      code: 'conflict',
      layer: 'x',
      request_id: 'r1',
      errors,
    });
  });

  for (const thrown of [
    new Error('secret'),
    new TypeError('secret'),
    'secret',
    undefined,
    null,
    { secret: 1 },
    new AppError('response_invalid', 'secret'),
  ]) {
    it(`the problem of ${thrown instanceof Error ? thrown.name : String(thrown)} shows no detail of the error`, () => {
      const problem = describeProblem(thrown, { requestId: 'r1' });
      assert.equal(problem.status, 500);
      assert.equal(problem.code, 'internal');
      assert.equal(problem.type, 'urn:strata:problem:internal');
      assert.ok(!JSON.stringify(problem).includes('secret'));
      assert.equal(statusOf(thrown), 500);
    });
  }

  it('a problem has the stacks of the error and its causes only if debugging is on', () => {
    const error = new Error('outer', { cause: new TypeError('inner') });
    const [outer, inner] = describeProblem(error, { debug: true }).debug ?? [];
    assert.match(outer ?? '', /^Error: outer\n +at /);
    assert.match(inner ?? '', /^TypeError: inner\n +at /);
    assert.equal('debug' in describeProblem(error, { debug: false }), false);
  });

  it('the stacks of a circular chain of causes are limited', () => {
    const error = new Error('round');
    error.cause = error;
    assert.equal(describeProblem(error, { debug: true }).debug?.length, 1);
  });
});

describe('the response of a problem', () => {
  it('an error response drops headers of the replaced body and keeps the others', () => {
    const ctx = makeContext({ target: '/a' });
    Object.assign(ctx.headers, {
      etag: '"1"',
      location: '/x',
      link: '</>',
      'content-length': '9',
      'x-request-id': 'r1',
      vary: 'Origin',
    });
    replyWithProblem(ctx, new AppError('rate_limited', 'Wait.', { headers: { 'retry-after': '1' } }), false);
    assert.deepEqual(
      { ...ctx.headers },
      {
        'x-request-id': 'r1',
        vary: 'Origin',
        'retry-after': '1',
        'content-type': 'application/problem+json',
      },
    );
    assert.equal(ctx.status, 429);
  });

  it('an error response omits a request path of several kilobytes', () => {
    const ctx = makeContext({ target: `/${'a'.repeat(2000)}` });
    replyWithProblem(ctx, new AppError('not_found', 'Nothing.'), false);
    assert.ok(typeof ctx.payload === 'string' && !ctx.payload.includes('instance'));
  });
});

describe('an error whose pointer is too long for a response', () => {
  const long = 'x'.repeat(100_000);
  const table: [pointer: string, shown: string, isCut: boolean][] = [
    ['', '', false],
    ['/a/0/b~1c', '/a/0/b~1c', false],
    [`/${long.slice(0, maxPointerLength - 1)}`, `/${long.slice(0, maxPointerLength - 1)}`, false],
    [`/${long.slice(0, maxPointerLength)}`, '', true],
    [`/${long}`, '', true],
    [`/list/0/a~1b/${long}`, '/list/0/a~1b', true],
    [`/list/0/${long}/name`, '/list/0', true],
    [`/a${'~1'.repeat(1000)}`, '', true],
  ];
  for (const [pointer, shown, isCut] of table) {
    it(`an error with a pointer of ${pointer.length} characters (${pointer.slice(0, 20)}) is reported at "${shown.slice(0, 20)}"`, () => {
      const errors = [{ in: 'body', pointer, detail: 'Leave it out.' }] as const;
      const [error] = describeProblem(new AppError('validation_failed', 'No.', { errors }), {}).errors ?? [];
      assert.equal(error?.pointer, shown);
      const expected = 'Inside this value, under a name that is too long to repeat: Leave it out.';
      assert.equal(error?.detail, isCut ? expected : 'Leave it out.');
    });
  }
});

it('a detail is shortened to the length in the document, and stays well-formed', () => {
  const { detail } = describeProblem(new AppError('bad_request', '😀'.repeat(3000)), {});
  assert.equal(detail.length, maxDetailLength);
  assert.ok(detail.isWellFormed() && detail.endsWith('…'));
});

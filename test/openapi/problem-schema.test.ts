import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError, errorCodes } from '../../src/errors.ts';
import { describeProblem } from '../../src/http/problem.ts';
import { problemSchema } from '../../src/openapi/problem-schema.ts';

test('every problem that the server can send matches the schema in the document', () => {
  for (const code of errorCodes) {
    const errors = [{ in: 'body', pointer: '/a~1b', detail: 'This field is required.' }] as const;
    const error = new AppError(code, 'Do something else.', {
      errors,
      layer: 'rate-limit',
      cause: new Error('secret'),
    });
    const problem = describeProblem(error, { instance: '/things', requestId: 'a', debug: true });
    assert.deepEqual(problemSchema.parse(problem), problem, code);
  }
  assert.doesNotThrow(() => problemSchema.parse(describeProblem(new TypeError('a bug'), {})));
});

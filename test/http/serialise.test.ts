import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as z from 'zod';
import { AppError } from '../../src/errors.ts';
import { createSerialiser } from '../../src/http/serialise.ts';

describe('a response', () => {
  const user = z.object({ id: z.int(), friends: z.array(z.object({ name: z.string() })).optional() });
  const serialise = createSerialiser(user, 'GET /users/:id');

  it('a response has the fields of its schema and no others, at any depth', () => {
    const row = {
      id: 1,
      password_hash: 'x',
      friends: [{ name: 'Ada', email: 'ada@example.org' }],
      toJSON: () => 'x',
    };
    assert.equal(serialise(row), '{"id":1,"friends":[{"name":"Ada"}]}');
  });

  it('a response is the result of the transforms of its schema', () => {
    const date = createSerialiser(z.object({ at: z.date().transform((at) => at.toISOString()) }), 'x');
    assert.equal(date({ at: new Date(0) }), '{"at":"1970-01-01T00:00:00.000Z"}');
  });

  for (const value of [undefined, null, {}, { id: '1' }, { id: 1.5 }, { id: 1, friends: [{}] }]) {
    it(`the value ${JSON.stringify(value)} that does not match its schema is an error of the server`, () => {
      assert.throws(
        () => serialise(value),
        (error) =>
          error instanceof AppError && error.code === 'response_invalid' && error.cause instanceof z.ZodError,
      );
    });
  }

  it('the error of an invalid response names the operation, for the log', () =>
    assert.throws(() => serialise({}), /GET \/users\/:id/));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import postgres from 'postgres';
import { columnTypes } from '../../src/db/column-types.ts';
import { createLostQueries } from '../../src/db/lost-queries.ts';

test('all that would be lost with a connection are told, though each leaves the list when it is; others are not', () => {
  const driver = postgres({ max: 1, types: columnTypes });
  const lostQueries = createLostQueries(() => driver);
  const told: string[] = [];
  const expect = (name: string, connection: number) => {
    const expected = lostQueries.expect((error) => {
      assert.match(error.message, /closed/);
      told.push(name);
      expected.forget();
    });
    expected.listen();
    // As the driver does when it writes a query to a connection.
    const { debug } = driver.options;
    assert.ok(typeof debug === 'function');
    debug(connection, '', [], []);
    expected.stopListening();
    return expected;
  };
  expect('first', 7);
  expect('settled', 7).forget();
  expect('second', 7);
  expect('third', 7);
  expect('elsewhere', 8);
  lostQueries.closed(7);
  lostQueries.closed(7);
  lostQueries.closed(9);
  assert.deepEqual(told, ['first', 'second', 'third']);
});

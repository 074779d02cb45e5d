import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { events } from '../../src/observability/events.ts';

describe('the event names', () => {
  for (const event of events) {
    it(`have ${event} in the form noun.verb`, () => assert.match(event, /^[a-z]+(?:[._][a-z]+)+$/));
  }

  it('are each there once', () => assert.equal(new Set(events).size, events.length));
});

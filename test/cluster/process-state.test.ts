import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  isUnplanned,
  nextState,
  type ProcessState,
  processEndReasons,
  processEvents,
  processStates,
} from '../../src/cluster/process-state.ts';

describe('the state of a process', () => {
  it('the state only moves forward, whatever the order of events', () => {
    const events = fc.array(fc.constantFrom(...processEvents), { maxLength: 20 });
    fc.assert(
      fc.property(events, (happened) => {
        let state: ProcessState = 'starting';
        for (const event of happened) {
          const next = nextState(state, event);
          if (next === undefined) continue;
          assert.ok(processStates.indexOf(next) > processStates.indexOf(state), `${state} -> ${next}`);
          state = next;
        }
        assert.equal(state === 'ended', happened.includes('exit'));
      }),
    );
  });

  it('a draining process does not become ready, and a killed one does not become ready or draining', () => {
    assert.equal(nextState('draining', 'ready'), undefined);
    assert.equal(nextState('killed', 'drain'), undefined);
    assert.equal(nextState('killed', 'ready'), undefined);
  });

  it('a second order to drain has no effect', () => {
    assert.equal(nextState('draining', 'drain'), undefined);
  });
});

it('the unplanned end reasons are crashed, failed, late and silent', () => {
  assert.deepEqual(processEndReasons.filter(isUnplanned), ['crashed', 'failed', 'late', 'silent']);
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  isUnplanned,
  nextState,
  type WorkerState,
  workerEndReasons,
  workerEvents,
  workerStates,
} from '../../src/cluster/worker-state.ts';

describe('the state of a worker', () => {
  it('only goes forward, whatever happens in whatever order', () => {
    const events = fc.array(fc.constantFrom(...workerEvents), { maxLength: 20 });
    fc.assert(
      fc.property(events, (happened) => {
        let state: WorkerState = 'starting';
        for (const event of happened) {
          const next = nextState(state, event);
          if (next === undefined) continue;
          assert.ok(workerStates.indexOf(next) > workerStates.indexOf(state), `${state} -> ${next}`);
          state = next;
        }
        assert.equal(state === 'ended', happened.includes('exit'));
      }),
    );
  });

  it('is never ready again once it was told to drain, and draining once it was killed', () => {
    assert.equal(nextState('draining', 'ready'), undefined);
    assert.equal(nextState('killed', 'drain'), undefined);
    assert.equal(nextState('killed', 'ready'), undefined);
  });

  it('takes a second order to drain for nothing', () => {
    assert.equal(nextState('draining', 'drain'), undefined);
  });
});

it('what nobody wanted is told from what somebody did', () => {
  assert.deepEqual(workerEndReasons.filter(isUnplanned), ['crashed', 'failed', 'late', 'silent']);
});

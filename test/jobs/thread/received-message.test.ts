import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isFromThread } from '../../../src/jobs/thread/received-message.ts';

const error = { code: 'threw', message: 'It went wrong.', stack: 'Error: ...', details: { any: ['thing'] } };

const messages: readonly unknown[] = [
  { kind: 'ready' },
  { kind: 'progress', id: 1, progress: { fraction: 0.5, message: null } },
  { kind: 'ended', id: 1, outcome: { kind: 'returned', result: null } },
  { kind: 'ended', id: 1, outcome: { kind: 'committed' } },
  { kind: 'ended', id: 1, outcome: { kind: 'failed', error, final: false } },
  {
    kind: 'ended',
    id: 1,
    outcome: { kind: 'failed', error: { code: 'refused', message: 'No.' }, final: true },
  },
  { kind: 'ended', id: 1, outcome: { kind: 'snoozed', delayMs: Number.POSITIVE_INFINITY } },
  { kind: 'ended', id: 1, outcome: { kind: 'aborted', reason: 'lost' } },
  { kind: 'error', id: null, error },
  { kind: 'event', event: 'job.completed' },
  { kind: 'line', line: '{}\n' },
];

const foreign: readonly unknown[] = [
  ...[null, undefined, 7, 'ready', [], {}, { kind: 'other' }],
  { kind: 'progress', id: 1, progress: { fraction: Number.NaN, message: null } },
  { kind: 'progress', id: 1, progress: { fraction: 0.5, message: 7 } },
  { kind: 'ended', id: '1', outcome: { kind: 'committed' } },
  { kind: 'ended', id: 1 },
  { kind: 'ended', id: 1, outcome: { kind: 'returned', result: 7 } },
  { kind: 'ended', id: 1, outcome: { kind: 'returned', result: 'x'.repeat(2_000_000) } },
  { kind: 'ended', id: 1, outcome: { kind: 'failed', error: { ...error, message: { a: 1 } }, final: false } },
  {
    kind: 'ended',
    id: 1,
    outcome: { kind: 'failed', error: { ...error, message: 'x'.repeat(20_000_000) }, final: false },
  },
  { kind: 'ended', id: 1, outcome: { kind: 'snoozed', delayMs: 1n } },
  { kind: 'ended', id: 1, outcome: { kind: 'snoozed', delayMs: -1 } },
  ...['', 'no event', `no.${'x'.repeat(200)}`, 7].map((event) => ({ kind: 'event', event })),
  { kind: 'line', line: {} },
];

it('messages of a thread are accepted, and all others are rejected', () => {
  for (const message of messages) assert.ok(isFromThread(message), JSON.stringify(message));
  for (const message of foreign) assert.ok(!isFromThread(message));
});

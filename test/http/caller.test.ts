import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Principal } from '../../src/auth/principal.ts';
import { callerOf, signedInCallerOf } from '../../src/http/caller.ts';
import { makeContext } from '../helpers/context.ts';

const caller = { userId: 1, username: 'ada', role: 'user' } as const;
const session: Principal = { ...caller, kind: 'session', sessionId: 'session-of-ada' };
const key: Principal = { ...caller, kind: 'apiKey', scopes: new Set(), keyId: 7 };

it('a handler learns who called, and stops where its route lets in somebody else than it thinks', () => {
  const ctx = makeContext();
  assert.throws(() => callerOf(ctx), /who called/);
  assert.throws(() => signedInCallerOf(ctx), /who called/);
  ctx.principal = key;
  assert.equal(callerOf(ctx), key);
  assert.throws(() => signedInCallerOf(ctx), /who has signed in/);
  ctx.principal = session;
  assert.equal(callerOf(ctx), session);
  assert.equal(signedInCallerOf(ctx), session);
});

import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Principal } from '../../src/auth/principal.ts';
import { callerOf, signedInCallerOf } from '../../src/http/caller.ts';
import { makeContext } from '../helpers/context.ts';

const caller = { userId: 1, username: 'ada', role: 'user' } as const;
const session: Principal = { ...caller, kind: 'session', sessionId: 'session-of-ada' };
const key: Principal = { ...caller, kind: 'apiKey', scopes: new Set(), keyId: 7 };

it('callerOf and signedInCallerOf return the caller, and throw in the handler of a route that other callers may use', () => {
  const ctx = makeContext();
  assert.throws(() => callerOf(ctx), /callerOf was called/);
  assert.throws(() => signedInCallerOf(ctx), /callerOf was called/);
  ctx.principal = key;
  assert.equal(callerOf(ctx), key);
  assert.throws(() => signedInCallerOf(ctx), /signedInCallerOf was called/);
  ctx.principal = session;
  assert.equal(callerOf(ctx), session);
  assert.equal(signedInCallerOf(ctx), session);
});

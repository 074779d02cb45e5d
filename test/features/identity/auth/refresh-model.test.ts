import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { testPassword } from '../../../helpers/test-api.ts';
import { idleSeconds, maxSeconds, mustCreateAuth, testClient } from '../../../helpers/test-auth.ts';

const second = 1000;
const windowMs = 10 * second;

/** Steps of the model: time passes, one of the tokens is presented, or the user signs out. */
type Step =
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'refresh'; readonly back: number; readonly parallel: number }
  | { readonly kind: 'forge' }
  | { readonly kind: 'logout'; readonly back: number };

const wait = fc.oneof(
  fc.constantFrom(1, windowMs - 1, windowMs, windowMs + 1),
  fc.constantFrom(idleSeconds * second - 1, idleSeconds * second, 10 * 86_400 * second),
  fc.integer({ min: 0, max: 15 * second }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait'), ms: wait }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('refresh'),
      /** 0 is the current token, 1 the one before. */
      back: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(0, 1) }, fc.integer({ min: 0, max: 5 })),
      parallel: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forge') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('logout'), back: fc.integer({ min: 0, max: 3 }) }) },
);

it('any sequence of refreshes, sign-outs and pauses matches the model of session states', async (t) => {
  const { auth, clock, database, refreshTokens, loadSession, mustAddUser } = await mustCreateAuth(t);
  await mustAddUser('ada');
  const credentials = { login: 'ada', password: testPassword, transport: 'body' } as const;
  const attempt = (token: string) =>
    auth.refresh(token, testClient).then(
      (grant) => grant.refreshToken,
      (error: unknown) => {
        assert.ok(
          error instanceof Error && 'code' in error && error.code === 'unauthenticated',
          String(error),
        );
        return 'refused';
      },
    );

  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      const { sessionId, refreshToken } = await auth.login(credentials, testClient);
      const chain = [refreshToken];
      let rotatedAt = clock.now;
      let expiresAt = clock.now + idleSeconds * second;
      const endsAt = clock.now + maxSeconds * second;
      let ended = false;
      const isLive = () => !ended && clock.now < expiresAt;
      const nth = (back: number) => chain.at(-1 - Math.min(back, chain.length - 1)) ?? '';

      for (const each of steps) {
        if (each.kind === 'wait') {
          clock.now += each.ms;
        } else if (each.kind === 'forge') {
          const forged = `${refreshTokens.issue(sessionId).text.slice(0, -16)}${'A'.repeat(16)}`;
          assert.equal(await attempt(forged), 'refused');
          await auth.logoutByToken(forged);
        } else if (each.kind === 'logout') {
          await auth.logoutByToken(nth(each.back));
          ended = true;
        } else {
          const presented = nth(each.back);
          const inWindow = clock.now - rotatedAt < windowMs;
          const current = chain.at(-1);
          const answers = await Promise.all(Array.from({ length: each.parallel }, () => attempt(presented)));
          assert.equal(new Set(answers).size, 1, 'the same to all who ask at the same time');
          const [answer = ''] = answers;
          if (!isLive()) {
            assert.equal(answer, 'refused');
          } else if (presented === current && !inWindow) {
            assert.ok(answer !== 'refused' && !chain.includes(answer), 'a token that was never there');
            chain.push(answer);
            rotatedAt = clock.now;
            expiresAt = Math.min(clock.now + idleSeconds * second, endsAt);
          } else if (inWindow && (presented === current || presented === chain.at(-2))) {
            assert.equal(answer, current);
          } else {
            assert.equal(answer, 'refused');
            ended = true;
          }
        }
        assert.equal(
          (await loadSession(sessionId)) !== undefined,
          isLive(),
          'live as the access tokens see it',
        );
      }
      const [row] = await database.sql<{ ended: boolean; expires_at: Date }[]>`
        select ended_at is not null as ended, expires_at from sessions where id = ${sessionId}`;
      assert.equal(row?.expires_at.getTime(), expiresAt);
      if (row?.ended === true) assert.equal(ended, true, 'only ended when it had to be');
    }),
    { numRuns: 40 },
  );
});

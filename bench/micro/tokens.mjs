/** Access tokens against fast-jwt and jose: HS256, the same claims, issuer, audience and times checked, no cache. */

import assert from 'node:assert/strict';
import { createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import { createSigner, createVerifier } from 'fast-jwt';
import { jwtVerify, SignJWT } from 'jose';
import { createJwt } from '../../src/auth/jwt/jwt.ts';
import { compare } from './timing.mjs';

const secret = randomBytes(32).toString('hex');
const [issuer, audience, subject] = ['strata', 'strata', '1'];
const sessionId = randomUUID();
const lifetimeSeconds = 900;
const nowSeconds = () => Math.floor(Date.now() / 1000);

const jwt = createJwt({ algorithm: 'HS256', secrets: [secret], issuer, audience, leewaySeconds: 0 });
const signFast = createSigner({ key: secret, algorithm: 'HS256' });
const verifyFast = createVerifier({
  key: secret,
  algorithms: ['HS256'],
  allowedIss: issuer,
  allowedAud: audience,
  cache: false,
});
const joseKey = createSecretKey(Buffer.from(secret));
const joseRules = { algorithms: ['HS256'], issuer, audience };

function claims() {
  const now = nowSeconds();
  return {
    iss: issuer,
    aud: audience,
    sub: subject,
    sid: sessionId,
    jti: randomUUID(),
    iat: now,
    nbf: now,
    exp: now + lifetimeSeconds,
  };
}

const sign = {
  strata: () => jwt.sign({ subject, sessionId, lifetimeSeconds }, nowSeconds()),
  fast: () => signFast(claims()),
  jose: () => new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(joseKey),
};
const token = sign.strata();
const verify = {
  strata: () => jwt.verify(token, nowSeconds()),
  fast: () => verifyFast(token),
  jose: () => jwtVerify(token, joseKey, joseRules),
};

const { payload } = await jwtVerify(sign.fast(), joseKey, joseRules);
assert.equal(payload.sub, subject);
assert.equal(verifyFast(await sign.jose()).sid, sessionId);
assert.deepEqual(verify.fast(), verify.strata());
assert.deepEqual((await verify.jose()).payload, { ...verify.strata() });

for (const [question, calls] of Object.entries({ sign, verify })) {
  await compare('tokens', [
    { question, name: 'Strata', ours: true, call: calls.strata },
    { question, name: 'fast-jwt', call: calls.fast },
    { question, name: 'jose', call: calls.jose, waits: true },
  ]);
}

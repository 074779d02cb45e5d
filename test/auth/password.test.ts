import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextLoop } from 'node:timers/promises';
import { createPasswordHasher } from '../../src/auth/password.ts';
import { AppError } from '../../src/errors.ts';

const cheap = createPasswordHasher({ cost: 4 });
const password = 'correct horse battery staple';

/** RFC 7914, section 12: scrypt("pleaseletmein", "SodiumChloride", N=16384, r=8, p=1, 64 octets). */
const rfcKey =
  '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2' +
  'd5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887';

const base64 = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '');
const rfcHash = `$scrypt$ln=14,r=8,p=1$${base64(Buffer.from('SodiumChloride'))}$${base64(Buffer.from(rfcKey, 'hex'))}`;

describe('password', () => {
  it('a password is stored with the parameters of OWASP, a salt of 16 bytes and a key of 32', async () => {
    const hasher = createPasswordHasher();
    const stored = await hasher.hash(password);
    const [, name, parameters, salt = '', key = ''] = stored.split('$');
    assert.equal(name, 'scrypt');
    assert.equal(parameters, 'ln=17,r=8,p=1');
    assert.equal(Buffer.from(salt, 'base64').length, 16);
    assert.equal(Buffer.from(key, 'base64').length, 32);
    assert.equal(await hasher.verify(password, stored), true);
  });

  it('a password matches its hash, and another one does not', async () => {
    const stored = await cheap.hash(password);
    assert.equal(await cheap.verify(password, stored), true);
    assert.equal(await cheap.verify(`${password} `, stored), false);
    assert.equal(await cheap.verify('', stored), false);
  });

  it('a password gets a different hash each time', async () => {
    assert.notEqual(await cheap.hash(password), await cheap.hash(password));
  });

  it('the test vector of RFC 7914 verifies', async () => {
    assert.equal(await cheap.verify('pleaseletmein', rfcHash), true);
    assert.equal(await cheap.verify('pleaseletmeout', rfcHash), false);
  });

  it('a password matches in any Unicode composition', async () => {
    const stored = await cheap.hash('Caf\u00e9 \ufb01ancee');
    assert.equal(await cheap.verify('Cafe\u0301 fiancee', stored), true);
  });

  it('a hash with old parameters needs a rehash', async () => {
    const raised = createPasswordHasher({ cost: 5 });
    const stored = await cheap.hash(password);
    assert.equal(cheap.needsRehash(stored), false);
    assert.equal(raised.needsRehash(stored), true);
    assert.equal(await raised.verify(password, stored), true);
  });

  const unreadable = [
    '',
    'plain text',
    '$2b$10$abcdefghijklmnopqrstuv',
    '$scrypt$ln=4,r=8,p=1$c2FsdHNhbHQ$',
    `${rfcHash}$`,
    rfcHash.replace('ln=14', 'ln=0'),
    rfcHash.replace('ln=14', 'ln=31'),
    rfcHash.replace('r=8', 'r=99'),
    rfcHash.replace('p=1', 'p=0'),
  ];
  for (const stored of unreadable) {
    it(`the unreadable hash "${stored.slice(0, 40)}" matches no password and needs a rehash`, async () => {
      assert.equal(await cheap.verify('pleaseletmein', stored), false);
      assert.equal(cheap.needsRehash(stored), true);
    });
  }

  it('a password is hashed off the event loop', async () => {
    const hasher = createPasswordHasher({ cost: 14 });
    let done = false;
    const hashing = hasher.hash(password).then(() => {
      done = true;
    });
    for (let turn = 0; turn < 5; turn += 1) await nextLoop();
    assert.equal(done, false);
    await hashing;
  });

  it('hashing is rejected with Retry-After when too many callers wait, and accepted again later', async () => {
    const hasher = createPasswordHasher({ cost: 4, concurrency: 1, maxWaiting: 1 });
    const [first, second, third] = await Promise.allSettled([1, 2, 3].map(() => hasher.hash(password)));
    assert.equal(first?.status, 'fulfilled');
    assert.equal(second?.status, 'fulfilled');
    assert.ok(third?.status === 'rejected' && third.reason instanceof AppError);
    assert.equal(third.reason.code, 'not_ready');
    assert.deepEqual(third.reason.headers, { 'retry-after': '5' });
    assert.equal(await hasher.verify('pleaseletmein', rfcHash), true);
  });

  it('a password is not hashed for a caller that aborted while waiting', async () => {
    const hasher = createPasswordHasher({ cost: 4, concurrency: 1 });
    const caller = new AbortController();
    const first = hasher.hash(password);
    const second = hasher.hash(password, { signal: caller.signal });
    const third = hasher.hash(password);
    caller.abort(new Error('gone'));
    await assert.rejects(second, { message: 'gone' });
    assert.ok((await first).startsWith('$scrypt$'));
    assert.ok((await third).startsWith('$scrypt$'));
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pointersOf } from '../../../helpers/api-client.ts';
import {
  mustLogIn,
  mustRegister,
  mustServeApi,
  testPassword as password,
} from '../../../helpers/test-api.ts';

const users = '/api/v1/users';
const someone = { username: 'someone', email: 'someone@example.org', password };

describe('registering', () => {
  it('a registration returns the new user, its URL and its version', async (t) => {
    const api = await mustServeApi(t);
    const answer = await api.post(users, { username: 'Ada_1', email: 'Ada@Example.org', password });
    assert.equal(answer.status, 201);
    const { id, created_at, updated_at, ...rest } = answer.body;
    assert.deepEqual(rest, {
      username: 'Ada_1',
      email: 'Ada@Example.org',
      email_verified: false,
      role: 'user',
    });
    assert.equal(new Date(created_at).toISOString(), created_at);
    assert.equal(updated_at, created_at);
    assert.equal(answer.headers.get('location'), `${users}/${id}`);
    assert.equal(answer.headers.get('etag'), `"${id}.v1"`);

    const read = await (await mustLogIn(api, answer.body)).get(`${users}/${id}`);
    assert.deepEqual(read.body, answer.body);
    assert.equal(read.headers.get('etag'), `"${id}.v1"`);
  });

  it('a registration accepts the minimum and maximum length of every field', async (t) => {
    const api = await mustServeApi(t);
    for (const user of [
      { username: 'abc', email: 'a@b.cd', password: '8 chars.' },
      {
        username: 'a'.repeat(50),
        email: `${'a'.repeat(64)}@${`${'b'.repeat(62)}.`.repeat(2)}${'b'.repeat(59)}.org`,
        password: Array.from({ length: 128 }, (_, n) =>
          String.fromCodePoint(0x1f300 + ((n * 37) % 256)),
        ).join(''),
      },
    ]) {
      const { status, text } = await api.post(users, user);
      assert.equal(status, 201, text);
    }
  });

  it('invalid fields of a registration are 422 with the field', async (t) => {
    const api = await mustServeApi(t);
    const refused: [what: string, body: unknown, pointers: string[]][] = [
      ['nothing', {}, ['/username', '/email', '/password']],
      ['an array', [someone], ['']],
      ['text', '"someone"', ['']],
      ['null', 'null', ['']],
      ['a username of 2 characters', { ...someone, username: 'ab' }, ['/username']],
      ['a username of 51 characters', { ...someone, username: 'a'.repeat(51) }, ['/username']],
      ['a username with a space', { ...someone, username: 'some one' }, ['/username']],
      ['a username with a line break at its end', { ...someone, username: 'someone\n' }, ['/username']],
      ['a username with a Cyrillic letter', { ...someone, username: 'аdmin' }, ['/username']],
      ['a username that is a number', { ...someone, username: 12345 }, ['/username']],
      ['a username that is null', { ...someone, username: null }, ['/username']],
      ['an address without @', { ...someone, email: 'example.org' }, ['/email']],
      ['an address with a space', { ...someone, email: 'a b@example.org' }, ['/email']],
      ['two addresses', { ...someone, email: 'a@example.org,b@example.org' }, ['/email']],
      ['an address with NUL', { ...someone, email: 'a\0@example.org' }, ['/email']],
      [
        'an address of 255 characters',
        { ...someone, email: `a@${`${'b'.repeat(62)}.`.repeat(4)}c` },
        ['/email'],
      ],
      [
        'an address of 65 characters before its @',
        { ...someone, email: `${'a'.repeat(65)}@example.org` },
        ['/email'],
      ],
      ['a password of 7 characters', { ...someone, password: '7 chars' }, ['/password']],
      ['a password of 129 characters', { ...someone, password: 'a'.repeat(129) }, ['/password']],
      ['a password that many people use', { ...someone, password: 'TrustNo1' }, ['/password']],
      ['a password made of the username', { ...someone, password: 'someone2026!' }, ['/password']],
      ['a password with NUL', { ...someone, password: 'pass\0word!' }, ['/password']],
      ['an unknown field', { ...someone, is_admin: true }, ['/is_admin']],
      ['a role, which users cannot set', { ...someone, role: 'admin' }, ['/role']],
      ['fields that try names', { ...someone, constructor: 1, 'a/b~c': 2 }, ['/constructor', '/a~1b~0c']],
      ['a hash of its own', { ...someone, password_hash: 'hash' }, ['/password_hash']],
    ];
    for (const [what, body, pointers] of refused) {
      await t.test(what, async () => {
        const answer = await api.post(users, body);
        assert.equal(answer.status, 422);
        assert.equal(answer.body.code, 'validation_failed');
        assert.deepEqual([...new Set(pointersOf(answer))], pointers);
      });
    }
  });

  it('a body that is not valid JSON is 400 or 415', async (t) => {
    const api = await mustServeApi(t);
    for (const text of [
      '{"username":"someone","__proto__":{"admin":true}}',
      '{"username":"some\\ud83eone"}',
      '{"username":',
    ]) {
      const answer = await api.post(users, text);
      assert.equal(answer.status, 400);
      assert.equal(answer.body.code, 'malformed_body');
    }
    const form = await api.post(users, 'username=someone', {
      'content-type': 'application/x-www-form-urlencoded',
    });
    assert.equal(form.status, 415);
  });

  it('all taken fields are named, in any case', async (t) => {
    const api = await mustServeApi(t);
    const { username, email } = await mustRegister(api, 'ada');
    const grace = await mustRegister(api, 'grace');
    for (const [taken, pointers] of [
      [{ username: username.toUpperCase() }, ['/username']],
      [{ email: email.toUpperCase() }, ['/email']],
      [{ username, email }, ['/username', '/email']],
      [{ username: username.toUpperCase(), email: grace.email.toUpperCase() }, ['/username', '/email']],
    ] as const) {
      const answer = await api.post(users, { ...someone, ...taken });
      assert.equal(answer.status, 409);
      assert.equal(answer.body.code, 'conflict');
      assert.deepEqual(pointersOf(answer), pointers);
    }
  });

  it('one of 20 concurrent registrations with the same name succeeds', async (t) => {
    const api = await mustServeApi(t);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        api.post(users, { ...someone, email: `wanted${index}@example.org` }),
      ),
    );
    assert.equal(answers.filter(({ status }) => status === 201).length, 1);
    const rejections = answers.filter(({ status }) => status === 409);
    assert.equal(rejections.length, 19);
    for (const rejection of rejections) assert.deepEqual(pointersOf(rejection), ['/username']);
  });

  it('a registration that loses a race names both taken fields', async (t) => {
    const api = await mustServeApi(t);
    const answers = await Promise.all(Array.from({ length: 8 }, () => api.post(users, someone)));
    const rejections = answers.filter(({ status }) => status === 409);
    assert.equal(rejections.length, 7);
    for (const rejection of rejections)
      assert.deepEqual(pointersOf(rejection).toSorted(), ['/email', '/username']);
  });

  it('a registration is logged with the ids of the user and the request, and a masked address', async (t) => {
    const api = await mustServeApi(t);
    const { headers, body } = await api.post(users, someone);
    const [line] = api.app.log.of('user.created');
    assert.equal(line?.user_id, body.id);
    assert.equal(line?.email, 's***@example.org');
    assert.equal(line?.request_id, headers.get('x-request-id'));
  });
});

describe('a password', () => {
  it('neither the password nor its hash appears in a response or a log line', async (t) => {
    const api = await mustServeApi(t, { APP_DEBUG: 'true', APP_DATABASE_ECHO: 'true' });
    const secret = { password: 'a secret that must not leak 1815' };
    const kept = await api.post(users, { ...someone, ...secret });
    const path = kept.headers.get('location') ?? '';
    const session = await mustLogIn(api, kept.body, secret.password);
    const answers = [
      kept,
      await api.post(users, { ...someone, ...secret }),
      await api.post(users, { username: 'k', email: 'k', ...secret, extra: 1 }),
      await session.get(path),
      await session.patch(path, { email: 'moved@example.org', current_password: secret.password }),
      await session.patch(path, secret),
    ];
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 409, 422, 200, 200, 422],
    );
    const [row] = await api.app.database.sql<{ password_hash: string }[]>`select password_hash from users`;
    const hash = row?.password_hash ?? '';
    assert.match(hash, /^\$scrypt\$ln=\d+,r=8,p=1\$/);
    const output = [api.app.log.text(), ...answers.map(({ text }) => text)].join('\n');
    assert.ok(output.includes('someone'));
    for (const hidden of [secret.password, hash, '$scrypt$']) assert.ok(!output.includes(hidden), hidden);
  });
});

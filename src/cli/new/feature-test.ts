import { examples, isFilter, literal } from './feature-text.ts';
import type { Field, FieldType } from './field.ts';
import type { ResourceName } from './name.ts';

/** Another valid value than the example. */
const others: Readonly<Record<FieldType, string>> = {
  text: "'Another text'",
  integer: '8',
  boolean: 'false',
  timestamp: "'2027-01-31T12:00:00.000Z'",
};

/** Values of the wrong type or form. */
const invalid: Readonly<Record<FieldType, string>> = {
  text: "''",
  integer: '1.5',
  boolean: "'yes'",
  timestamp: "'tomorrow'",
};

/** The tests of a generated feature. */
export function featureTest({ many, one, aOne }: ResourceName, [first, ...rest]: readonly Field[]): string {
  if (first === undefined) throw new Error('A feature has at least one field.');
  const fields = [first, ...rest];
  const filters = fields.filter(isFilter);
  const entries = fields.map(({ name, type: kind }) => `${name}: ${literal(kind)}`).join(', ');
  const filterTests = filters
    .map(
      ({ name, type: kind }) => `
  it('a list filtered by ${name} has only the ${many} with that value', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const kept = await mustCreate(ada);
    await mustCreate(ada, { ${name}: ${others[kind]} });
    const { body } = await ada.get(\`\${${many}}?${name}=${encodeURIComponent(String(examples[kind]))}\`);
    assert.deepEqual(idsOf(body.items), [kept.id]);
  });
`,
    )
    .join('');
  return `import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { linksOf, pointersOf } from '../../helpers/api-client.ts';
import {
  mustMakeKey,
  mustServeApi,
  mustSignIn,
  mustSignInAdmin,
  type SignedIn,
  type TestApi,
} from '../../helpers/test-api.ts';

const ${many} = '/api/v1/${many}';
const fields = { ${entries} };

async function mustCreate(owner: SignedIn, changes: Partial<typeof fields> = {}) {
  const { status, body, text } = await owner.post(${many}, { ...fields, ...changes });
  assert.equal(status, 201, text);
  return body;
}

/** Signs in a user who creates ${aOne}. */
async function mustCreateFirst(api: TestApi) {
  const ada = await mustSignIn(api, 'ada');
  const ${one} = await mustCreate(ada);
  return { ada, ${one}, path: \`\${${many}}/\${${one}.id}\` };
}

const idsOf = (items: readonly { readonly id: number }[]) => items.map(({ id }) => id);

describe('POST /${many}', () => {
  it('creates ${aOne} of the caller and returns it with its path, its version and an event', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const reply = await ada.post(${many}, fields);
    assert.equal(reply.status, 201);
    const { id, created_at, updated_at, ...shown } = reply.body;
    assert.deepEqual(shown, { owner_id: ada.user.id, ...fields });
    assert.equal(updated_at, created_at);
    assert.equal(reply.headers.get('location'), \`\${${many}}/\${id}\`);
    assert.equal(reply.headers.get('etag'), \`"\${id}.v1"\`);
    assert.deepEqual((await ada.get(\`\${${many}}/\${id}\`)).body, reply.body);
    assert.equal(api.app.log.of('${one}.created')[0]?.${one}_id, id);
  });

  it('rejects invalid fields with 422 and names each of them', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const bodies: [body: unknown, pointer: string][] = [
${fields.map(({ name, type: kind }) => `      [{ ...fields, ${name}: ${invalid[kind]} }, '/${name}'],`).join('\n')}
      [{ ...fields, unknown: 1 }, '/unknown'],
      [{ ...fields, owner_id: 1 }, '/owner_id'],
    ];
    for (const [body, pointer] of bodies) {
      const reply = await ada.post(${many}, body);
      assert.equal(reply.status, 422, pointer);
      assert.deepEqual([...new Set(pointersOf(reply))], [pointer]);
    }
  });
});

describe('PATCH /${many}/:id', () => {
  it('changes the sent field, leaves the others, and returns the next version', async (t) => {
    const api = await mustServeApi(t);
    const { ada, ${one}, path } = await mustCreateFirst(api);
    const reply = await ada.patch(path, { ${first.name}: ${others[first.type]} });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers.get('etag'), \`"\${${one}.id}.v2"\`);
    const { updated_at } = reply.body;
    assert.deepEqual(reply.body, { ...${one}, ${first.name}: ${others[first.type]}, updated_at });
  });

  it('changes nothing if the version is not the one in If-Match', async (t) => {
    const api = await mustServeApi(t);
    const { ada, ${one}, path } = await mustCreateFirst(api);
    const reply = await ada.patch(path, { ${first.name}: ${others[first.type]} }, { 'if-match': '"0.v9"' });
    assert.equal(reply.status, 412);
    assert.deepEqual((await ada.get(path)).body, ${one});
  });
});

describe('DELETE /${many}/:id', () => {
  it('deletes ${aOne} under If-Match only in that version', async (t) => {
    const api = await mustServeApi(t);
    const { ada, ${one}, path } = await mustCreateFirst(api);
    assert.equal((await ada.delete(path, { 'if-match': '"0.v9"' })).status, 412);
    assert.equal((await ada.delete(path, { 'if-match': \`"\${${one}.id}.v1"\` })).status, 204);
    assert.equal((await ada.get(path)).status, 404);
  });
});

describe('${aOne} of another user', () => {
  it('does not exist for a user who is not its owner', async (t) => {
    const api = await mustServeApi(t);
    const { ada, ${one}, path } = await mustCreateFirst(api);
    const grace = await mustSignIn(api, 'grace');
    const change = { ${first.name}: ${others[first.type]} };
    for (const reply of [await grace.get(path), await grace.patch(path, change), await grace.delete(path)]) {
      assert.equal(reply.status, 404);
    }
    assert.deepEqual((await grace.get(${many})).body.items, []);
    assert.deepEqual((await ada.get(path)).body, ${one});
  });

  it('can be read, changed and deleted by an admin', async (t) => {
    const api = await mustServeApi(t);
    const { path } = await mustCreateFirst(api);
    const admin = await mustSignInAdmin(api, 'admin');
    assert.equal((await admin.get(path)).status, 200);
    assert.equal((await admin.patch(path, { ${first.name}: ${others[first.type]} })).status, 200);
    assert.equal((await admin.delete(path)).status, 204);
  });

  it('is deleted with its owner', async (t) => {
    const api = await mustServeApi(t);
    const { ada, path } = await mustCreateFirst(api);
    const admin = await mustSignInAdmin(api, 'admin');
    await ada.delete(\`/api/v1/users/\${ada.user.id}\`);
    assert.equal((await admin.get(path)).status, 404);
  });
});

describe('the credentials of a caller of ${many}', () => {
  it('are required on every route', async (t) => {
    const api = await mustServeApi(t);
    const { path } = await mustCreateFirst(api);
    for (const reply of [await api.get(${many}), await api.post(${many}, fields), await api.get(path)]) {
      assert.equal(reply.status, 401);
    }
  });

  it('must include the scope ${many}:write to create ${aOne} with an API key', async (t) => {
    const api = await mustServeApi(t);
    const { ada } = await mustCreateFirst(api);
    const reading = api.withHeaders({ 'x-api-key': await mustMakeKey(ada, ['${many}:read']) });
    assert.equal((await reading.get(${many})).status, 200);
    assert.equal((await reading.post(${many}, fields)).status, 403);
    const writing = api.withHeaders({ 'x-api-key': await mustMakeKey(ada, ['${many}:write']) });
    assert.equal((await writing.post(${many}, fields)).status, 201);
    assert.equal((await writing.get(${many})).status, 403);
  });
});

describe('GET /${many}', () => {
  it('lists all ${many} of the caller over several pages, newest first', async (t) => {
    const api = await mustServeApi(t);
    const ada = await mustSignIn(api, 'ada');
    const created: number[] = [];
    for (let count = 0; count < 5; count += 1) created.unshift((await mustCreate(ada)).id);
    const seen: number[] = [];
    for (let path: string | undefined = \`\${${many}}?limit=2\`; path !== undefined; ) {
      const reply = await ada.get(path);
      seen.push(...idsOf(reply.body.items));
      path = linksOf(reply).next;
    }
    assert.deepEqual(seen, created);
  });
${filterTests}});
`;
}

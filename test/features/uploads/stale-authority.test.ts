import assert from 'node:assert/strict';
import { it } from 'node:test';
import { boundary, formBody, formType } from '../../helpers/multipart.ts';
import { testStaleAuthority } from '../../helpers/stale-authority.ts';

const form = formBody({
  ...{ name: 'file', filename: 'users.csv', content: 'username,email\ngrace,grace@example.org\n' },
});
const sent = { path: '/uploads', headers: { 'content-type': formType } };

const { mustRejectLateBody } = testStaleAuthority({
  operations: [
    {
      ...{ operationId: 'uploadFile', method: 'POST', role: 'admin', sessionOnly: true, forAdmins: true },
      request: () => ({ ...sent, body: form }),
    },
  ],
  mustOwn: async () => ({}),
});

it('an import is refused when the role of the admin is taken away while the file arrives', async () => {
  const body = form.toString();
  const cut = body.indexOf('grace');
  const halves = [body.slice(0, cut), body.slice(cut)] as const;
  assert.ok(halves[1].includes(boundary));
  await mustRejectLateBody('POST', sent, halves);
});

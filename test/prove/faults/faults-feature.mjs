/**
 * The feature of the proof faults, in a copy of the sources (insert-feature.ts): one route for each part that can fail. The
 * proof creates the table `proof_rows`. `PROOF_SERVICE` is the URL of the called service.
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { onlyRow } from '../../db/sql.ts';
import { uploadedFile } from '../../http/body/uploaded-file.ts';
import { accepted, created } from '../../http/reply.ts';
import { route } from '../../http/route.ts';

const row = z.object({ id: z.int(), body: z.string() });
const declaration = (operationId, summary) => ({ operationId, summary, tags: [], auth: 'none' });

const routes = ({ settings, database: { sql }, cache, httpClient, mail }) => {
  const load = cache.cached({
    name: 'proof.value',
    key: (key) => key,
    ttl: 2,
    schema: z.object({ key: z.string() }),
  })(async (key) => ({ key }));
  return [
    route({
      method: 'GET',
      path: '/proof/row',
      ...declaration('readProofRow', 'Read a row'),
      responses: { 200: { description: 'The row.', schema: row } },
      problems: ['database_unavailable'],
      handler: async () => onlyRow(await sql`select id, body from proof_rows order by id limit 1`),
    }),
    route({
      method: 'POST',
      path: '/proof/rows',
      ...declaration('writeProofRow', 'Write a row'),
      responses: { 201: { description: 'The row.', schema: row } },
      problems: ['database_unavailable'],
      handler: async () =>
        created(onlyRow(await sql`insert into proof_rows (body) values ('x') returning id, body`), '/'),
    }),
    route({
      method: 'GET',
      path: '/proof/cached/:key',
      ...declaration('readProofValue', 'Read a cached value'),
      params: z.object({ key: z.string().max(20) }),
      responses: { 200: { description: 'The value.', schema: z.object({ key: z.string() }) } },
      handler: ({ params }) => load(params.key),
    }),
    route({
      method: 'GET',
      path: '/proof/service',
      ...declaration('callProofService', 'Call the service'),
      responses: { 200: { description: 'Its status.', schema: z.object({ status: z.int() }) } },
      problems: ['outgoing_unavailable', 'outgoing_timeout'],
      async handler() {
        const called = await httpClient.fetch(process.env.PROOF_SERVICE, {
          service: 'proof',
          timeoutMs: 1_000,
        });
        return { status: called.status };
      },
    }),
    route({
      method: 'POST',
      path: '/proof/mails/:number',
      ...declaration('sendProofMail', 'Send a mail'),
      params: z.object({ number: z.coerce.number().int() }),
      responses: { 202: { description: 'It is queued.', schema: z.object({ number: z.int() }) } },
      handler({ params: { number } }) {
        mail.post({ to: `user${number}@example.org`, subject: 'Proof', text: `The mail ${number}.` });
        return accepted({ number }, '/');
      },
    }),
    route({
      method: 'POST',
      path: '/proof/files',
      ...declaration('storeProofFile', 'Store a file'),
      body: z.strictObject({ file: uploadedFile(1_000_000) }),
      example: { file: 'x' },
      accepts: ['multipart/form-data'],
      upload: { field: 'file', folder: join(settings.application.dataDir, 'proof') },
      responses: { 201: { description: 'Its size.', schema: z.object({ bytes: z.int() }) } },
      problems: ['storage_full'],
      async handler({ body: { file } }) {
        await rm(file.path);
        return created({ bytes: file.bytes }, '/');
      },
    }),
  ];
};

export const proof = { name: 'proof', routes };

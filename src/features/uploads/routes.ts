import { signedInCallerOf } from '../../http/caller.ts';
import { accepted } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import { createCsvCheck } from './csv-check.ts';
import { startedUpload, uploadForm } from './schema.ts';
import type { Uploads } from './uploads.ts';

export interface UploadsRoutesOptions {
  readonly uploads: Uploads;
  /** The folder for the files. */
  readonly folder: string;
  /** Maximum size of an upload in bytes, for the OpenAPI document. */
  readonly maxBytes: number;
  /** The prefix of the paths of these routes, such as `/api/v1`. */
  readonly prefix: string;
}

export function uploadsRoutes({ uploads, folder, maxBytes, prefix }: UploadsRoutesOptions): Route[] {
  return [
    route({
      method: 'POST',
      path: '/uploads',
      operationId: 'uploadFile',
      summary: 'Import users from a file',
      description:
        'Accepts a CSV file (RFC 4180, UTF-8) with the columns `username` and `email`, and starts the task `import_users`. ' +
        'Either all users are imported or none; the task lists the errors by line. Imported users have no password and ' +
        'set one with a password reset. For admins.',
      tags: ['uploads'],
      auth: 'user',
      roles: ['admin'],
      limits: [{ name: 'upload', by: 'user', quota: 20, windowMs: 60_000 }],
      body: uploadForm(maxBytes),
      example: { file: 'username,email\nada_lovelace,ada@example.org\n', kind: 'import_users' },
      accepts: ['multipart/form-data'],
      upload: { field: 'file', folder, createCheck: createCsvCheck },
      responses: {
        202: {
          description: 'The file was received, and the task was started.',
          schema: startedUpload,
          headers: { Location: 'The URL of the task.' },
        },
      },
      problems: ['database_unavailable'],
      async handler({ body: { file }, ctx }) {
        const { id } = await uploads.importUsers(signedInCallerOf(ctx), file);
        return accepted({ task_id: id, bytes: file.bytes, sha256: file.sha256 }, `${prefix}/tasks/${id}`);
      },
    }),
  ];
}

import { signedInCallerOf } from '../../http/caller.ts';
import { accepted } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import { createCsvCheck } from './csv-check.ts';
import { startedUpload, uploadForm } from './schema.ts';
import type { Uploads } from './uploads.ts';

export interface UploadsRoutesOptions {
  readonly uploads: Uploads;
  /** Where the files go. */
  readonly folder: string;
  /** The size limit of an upload in bytes, for the API document. */
  readonly maxBytes: number;
  /** What stands before the paths of these routes, such as `/api/v1`. */
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
        'Takes a CSV file (RFC 4180, UTF-8) with the columns `username` and `email`, and starts the task `import_users`. ' +
        'All of its users are imported or none: what is wrong with which line, the task says. They have no password, ' +
        'and set one by password reset. For admins.',
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
          description: 'The file is there, and the task has been started.',
          schema: startedUpload,
          headers: { Location: 'Where the task is.' },
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

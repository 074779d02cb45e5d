import type { Feature } from '../feature.ts';
import { deleteOldUploads } from './old-uploads.ts';
import { uploadsRoutes } from './routes.ts';
import { createImportUsersTask, importUsers } from './tasks.ts';
import { createUploads, uploadsFolder } from './uploads.ts';

const events = ['upload.received', 'users.imported'] as const;

declare module '../../observability/events.ts' {
  interface EventRegistry extends Record<(typeof events)[number], true> {}
}

/**
 * Files for background jobs: an import of users. This is the only feature that uses the optional package `csv-parse`.
 */
export const uploads = {
  name: 'uploads',
  tags: [{ name: 'uploads', description: 'Files that a task works on in the background.' }],
  events,
  tasks: [
    {
      definition: importUsers,
      create: ({ settings }) =>
        createImportUsersTask({ folder: uploadsFolder(settings.application.dataDir) }),
    },
  ],

  routes({ settings: { application, security }, database, identity, queue, log, metrics }) {
    const bytes = metrics.counter({
      name: 'upload_bytes_total',
      help: 'Bytes of the files that were received whole.',
    });
    const uploads = createUploads({
      database,
      queue,
      requireAuthority: identity.requireAuthority,
      bytes: bytes.of(),
      log: log.named('uploads'),
    });
    return uploadsRoutes({
      uploads,
      folder: uploadsFolder(application.dataDir),
      maxBytes: security.maxUploadSize,
      prefix: application.apiPrefix,
    });
  },

  retentionRules({ settings: { application, tasks } }) {
    const folder = uploadsFolder(application.dataDir);
    const days = tasks.keepFailedDays;
    return [{ name: 'uploads', deleteBatch: (limit) => deleteOldUploads({ folder, days }, limit) }];
  },
} satisfies Feature;

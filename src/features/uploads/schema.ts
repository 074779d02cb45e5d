import * as z from 'zod';
import { uploadedFile } from '../../http/body/uploaded-file.ts';
import { startedTask } from '../tasks/tasks.ts';

const kinds = ['import_users'] as const;

/** The form of an upload, with the maximum size of the file. */
export const uploadForm = (maxBytes: number) =>
  z.strictObject({
    file: uploadedFile(maxBytes),
    kind: z
      .enum(kinds, { error: `Use ${kinds.join(' or ')}.` })
      .default('import_users')
      .meta({ description: 'The processing of the file.' }),
  });

/** The response: the received file and the started task. */
export const startedUpload = startedTask
  .extend({
    bytes: z
      .int()
      .min(1)
      .meta({ description: 'The size of the file in bytes.', format: 'int64', example: 1_048_576 }),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .max(64)
      .meta({ description: 'The SHA-256 of its content, in hexadecimal digits.' }),
  })
  .meta({
    id: 'StartedUpload',
    description: 'A received file and the task that was started with it.',
  });

import * as z from 'zod';
import { uploadedFile } from '../../http/body/uploaded-file.ts';
import { startedTask } from '../tasks/tasks.ts';

const kinds = ['import_users'] as const;

/** The form that an upload is sent in, with the largest file. */
export const uploadForm = (maxBytes: number) =>
  z.strictObject({
    file: uploadedFile(maxBytes),
    kind: z
      .enum(kinds, { error: `Use ${kinds.join(' or ')}.` })
      .default('import_users')
      .meta({ description: 'What is to be done with the file.' }),
  });

/** The answer: what came, and what was started with it. */
export const startedUpload = startedTask
  .extend({
    bytes: z
      .int()
      .min(1)
      .meta({ description: 'How large the file is.', format: 'int64', example: 1_048_576 }),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .max(64)
      .meta({ description: 'The SHA-256 of its content, in hexadecimal digits.' }),
  })
  .meta({
    id: 'StartedUpload',
    description: 'A file that has arrived, and the task that was started with it.',
  });

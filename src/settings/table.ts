/** Combines the four groups of settings, and lists their variables in the order of the documentation. */

import * as z from 'zod';
import { application } from './groups/application.ts';
import { security } from './groups/security.ts';
import { server } from './groups/server.ts';
import { taskSettings } from './groups/tasks.ts';
import { type NamedNotes, notesOf } from './variable.ts';

/** Parses the texts of the environment to values, group by group. */
export const settingsSchema = z.object({ application, server, security, tasks: taskSettings });

/** The same schema without the values that could not be read. */
export const partialSchema = z.object({
  application: application.partial(),
  server: server.partial(),
  security: security.partial(),
  tasks: taskSettings.partial(),
});

export type SettingsValues = z.output<typeof settingsSchema>;
export type PartialValues = z.output<typeof partialSchema>;

export interface DeclaredVariable extends NamedNotes {
  readonly group: keyof SettingsValues;
  /** The key in the group, such as `databaseUrl`. */
  readonly key: string;
  /** The valid values, in words. */
  readonly accepts: string;
}

/** Every variable, in the order of its declaration. */
export const variables: readonly DeclaredVariable[] = (
  ['application', 'server', 'security', 'tasks'] as const
).flatMap((group) =>
  Object.entries(settingsSchema.shape[group].shape).map(([key, kind]) => ({
    ...notesOf(kind),
    group,
    key,
    accepts: kind.description ?? '',
  })),
);

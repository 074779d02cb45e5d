/** The four groups of settings together, and every variable of them in the order of the documentation. */

import * as z from 'zod';
import { application } from './groups/application.ts';
import { security } from './groups/security.ts';
import { server } from './groups/server.ts';
import { tasks } from './groups/tasks.ts';
import { type NamedNotes, notesOf } from './variable.ts';

/** From the texts of the environment to the values, group by group. */
export const settingsSchema = z.object({ application, server, security, tasks });

/** The same, for the values that are left when some could not be read. */
export const partialSchema = z.object({
  application: application.partial(),
  server: server.partial(),
  security: security.partial(),
  tasks: tasks.partial(),
});

export type SettingsValues = z.output<typeof settingsSchema>;
export type PartialValues = z.output<typeof partialSchema>;

export interface DeclaredVariable extends NamedNotes {
  readonly group: keyof SettingsValues;
  /** The key in the group, such as `databaseUrl`. */
  readonly key: string;
  /** What it takes, in words. */
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

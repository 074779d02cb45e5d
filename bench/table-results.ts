/**
 * Results that bring their own tables: those of `micro`. Their measurements have only this shape in common; the
 * the same file may contain raw samples beside these members.
 */

import * as z from 'zod';
import { machineSchema } from './results.ts';

export const tableResultsSchema = z.object({
  /** When the run began, ISO 8601, UTC. */
  date: z.string(),
  machine: machineSchema,
  versions: z.record(z.string(), z.string()),
  tables: z
    .array(z.object({ title: z.string(), head: z.array(z.string()), rows: z.array(z.array(z.string())) }))
    .min(1),
  /** The comparison of the run with the targets that it measures. */
  targets: z
    .array(
      z.object({
        promise: z.string(),
        measured: z.string(),
        verdict: z.enum(['met', 'not met', 'too uncertain', 'not measured']),
      }),
    )
    .default([]),
});

export type TableResults = z.output<typeof tableResultsSchema>;

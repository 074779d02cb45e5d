/**
 * What a variable is besides its kind. `variable` ties the two together, so that the kind in a group's schema leads
 * to the name in the environment, the default and the sentence for the documentation: each setting is declared once.
 */

import * as z from 'zod';

export interface VariableNotes {
  /** What it does, in sentences for the operator; with the unit, where the kind does not say it. */
  readonly about: string;
  /** The text that is read when the variable is not set, written as one would write it in `.env`. */
  readonly default: string;
  /** The default in words, for a default that is found out at start. */
  readonly defaultIs?: string;
  /** Other names it may be set by, which platforms and other programs use. */
  readonly aliases?: readonly string[];
  /** The phase of the guide it belongs to; 1 if not said. */
  readonly phase?: 2 | 3 | 4;
  /** What is never shown: the whole value, or the password in its URL. */
  readonly secret?: 'value' | 'url-password';
}

export interface NamedNotes extends VariableNotes {
  readonly name: string;
}

const registry = z.registry<NamedNotes>();

/** Declares the variable `name`, whose text the given kind reads. Returns the kind, for the schema of a group. */
export function variable<Kind extends z.ZodType>(name: string, kind: Kind, notes: VariableNotes): Kind {
  registry.add(kind, { ...notes, name });
  return kind;
}

/** What was declared with a kind. Throws if the kind was never declared, which is a mistake in this folder. */
export function notesOf(kind: z.core.$ZodType): NamedNotes {
  const notes = registry.get(kind);
  if (notes === undefined) throw new Error('A setting stands in a group without variable(): declare it.');
  return notes;
}

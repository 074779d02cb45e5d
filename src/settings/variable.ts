/**
 * Declares a variable: `variable()` attaches the name in the environment, the default and the documentation to the
 * kind in a group's schema. So each setting is declared in one place.
 */

import * as z from 'zod';

export interface VariableNotes {
  /** Describes the variable in sentences for the operator; with the unit if the kind does not name it. */
  readonly about: string;
  /** The text that is parsed when the variable is not set, as it would be written in `.env`. */
  readonly default: string;
  /** The default in words, if it is determined at start. */
  readonly defaultIs?: string;
  /** Other names that platforms and other programs use for it. */
  readonly aliases?: readonly string[];
  /** The part that is never shown: the whole value, or the password in its URL. */
  readonly secret?: 'value' | 'url-password';
}

export interface NamedNotes extends VariableNotes {
  readonly name: string;
}

const registry = z.registry<NamedNotes>();

/** Declares the variable `name`, whose text is parsed by the given kind. Returns the kind, for the schema of a group. */
export function variable<Kind extends z.ZodType>(name: string, kind: Kind, notes: VariableNotes): Kind {
  registry.add(kind, { ...notes, name });
  return kind;
}

/** Returns what was declared for a kind. Throws if the kind is in a group but was never declared. */
export function notesOf(kind: z.core.$ZodType): NamedNotes {
  const notes = registry.get(kind);
  if (notes === undefined) throw new Error('A setting is in a group without variable(): declare it.');
  return notes;
}

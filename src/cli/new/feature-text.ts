/** Pieces of text that the templates of a feature share. */

import type { Field, FieldType } from './field.ts';

/** An example of a value, as JSON. */
export const examples: Readonly<Record<FieldType, string | number | boolean>> = {
  text: 'A text',
  integer: 7,
  boolean: true,
  timestamp: '2026-01-31T12:00:00.000Z',
};

/** A list of this type of field can be filtered by it. */
export const isFilter = ({ type }: Field): boolean =>
  type === 'boolean' || type === 'integer' || type === 'text';

/** The plural as a type name: `Projects`. */
export function pluralType(many: string): string {
  return many.charAt(0).toUpperCase() + many.slice(1);
}

/** The example of a type, as TypeScript. */
export function literal(type: FieldType): string {
  const value = examples[type];
  return typeof value === 'string' ? `'${value}'` : String(value);
}

export const join = <Item>(items: readonly Item[], write: (item: Item) => string, between = '\n') =>
  items.map(write).join(between);

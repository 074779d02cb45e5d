/** The fields of a generated feature, as the command line names them: `name:text`, `archived:boolean`. */

import { StartError } from '../../errors.ts';
import { rejectReserved, wordsOf } from './name.ts';

const fieldTypes = ['text', 'integer', 'boolean', 'timestamp'] as const;
export type FieldType = (typeof fieldTypes)[number];

export interface Field {
  /** In snake_case. */
  readonly name: string;
  readonly type: FieldType;
  /** The name in sentences: `due date`. */
  readonly words: string;
}

/** Maximum length of a text field, in characters. */
export const maxTextLength = 2_000;

/** Columns that every generated table has, and parameters that every list has. */
const taken = new Set(['id', 'owner_id', 'version', 'created_at', 'updated_at', 'limit', 'cursor']);

/** Throws a StartError for no field, an invalid one, or two of one name. */
export function readFields(texts: readonly string[]): Field[] {
  if (texts.length === 0) {
    throw new StartError('A feature needs at least one field: add for example name:text.');
  }
  const fields = texts.map(readField);
  const twice = fields.find(({ name }, index) => fields.findIndex((each) => each.name === name) < index);
  if (twice !== undefined) throw new StartError(`The field ${twice.name} is given twice: remove one.`);
  return fields;
}

function readField(text: string): Field {
  const [name = '', type = '', ...rest] = text.split(':');
  const known = fieldTypes.find((each) => each === type);
  if (!/^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$/.test(name) || name.length > 50 || rest.length > 0) {
    throw new StartError(
      `"${text}" is not a field: use a name in snake_case and a type, such as due_date:timestamp.`,
    );
  }
  if (known === undefined) {
    throw new StartError(
      `"${text}" has no known type: use one of ${fieldTypes.map((each) => `${name}:${each}`).join(', ')}.`,
    );
  }
  if (taken.has(name))
    throw new StartError(`Every feature has ${name} already: remove the field, or rename it.`);
  rejectReserved(name);
  return { name, type: known, words: wordsOf(name) };
}

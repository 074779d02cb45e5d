import { createHash } from 'node:crypto';

const maxLength = 200;

/** Replaces a long key or tag by its digest, so that the arguments of a caller cannot fill the store with names. */
export function boundName(name: string): string {
  return name.length <= maxLength ? name : `#${createHash('sha256').update(name).digest('base64url')}`;
}

/** Returns the same array if no name is long. */
export function boundNames(names: readonly string[]): readonly string[] {
  return names.some((name) => name.length > maxLength) ? names.map(boundName) : names;
}

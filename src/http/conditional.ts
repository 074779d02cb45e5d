/**
 * Validators and conditions (RFC 9110, sections 8.8 and 13). An entity tag is a quoted opaque text, weak with the
 * prefix `W/`. The tag of a compressed answer carries its coding as a suffix, because it names other bytes;
 * a condition that comes back with it means the same state of the thing, so suffixes are left out of comparisons.
 */

/** `"v1"` and `gzip` give `"v1-gzip"`. */
export function codedTag(tag: string, coding: string): string {
  return tag.endsWith('"') ? `${tag.slice(0, -1)}-${coding}"` : tag;
}

/** The strong tag of a version number. */
export function versionTag(version: number): string {
  return `"v${version}"`;
}

interface Tag {
  readonly weak: boolean;
  readonly opaque: string;
}

/** Whether an If-None-Match field matches the tag: weak comparison, and `*` matches anything. */
export function matchesWeakly(field: string, tag: string): boolean {
  if (field.trim() === '*') return true;
  const [current] = parseTags(tag);
  return current !== undefined && parseTags(field).some((each) => each.opaque === current.opaque);
}

/** Whether an If-Match field matches the tag: strong comparison, and `*` matches anything that exists. */
export function matchesStrongly(field: string, tag: string): boolean {
  if (field.trim() === '*') return true;
  const [current] = parseTags(tag);
  if (current === undefined || current.weak) return false;
  return parseTags(field).some((each) => !each.weak && each.opaque === current.opaque);
}

const entityTag = /(W\/)?"([\x21\x23-\x7e\x80-\uffff]*)"/g;

function parseTags(field: string): Tag[] {
  return [...field.matchAll(entityTag)].slice(0, 100).map(([, weak, opaque = '']) => ({
    weak: weak !== undefined,
    opaque: opaque.replace(/-(?:br|gzip)$/, ''),
  }));
}

/** Whether nothing was modified since an If-Modified-Since date; a date that is none is no condition. */
export function isUnmodifiedSince(field: string, lastModified: string): boolean {
  const since = Date.parse(field);
  const modified = Date.parse(lastModified);
  return Number.isFinite(since) && Number.isFinite(modified) && modified <= since;
}

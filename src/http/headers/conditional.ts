/**
 * Validators and conditions (RFC 9110, sections 8.8 and 13). An entity tag is a quoted opaque text, weak with the
 * prefix `W/`. The tag of a compressed answer carries its coding as a suffix, because it names other bytes;
 * a condition that comes back with it means the same state of the thing, so suffixes are left out of comparisons.
 */

/** `"v1"` and `gzip` give `"v1-gzip"`. */
export function codedTag(tag: string, coding: string): string {
  return tag.endsWith('"') ? `${tag.slice(0, -1)}-${coding}"` : tag;
}

/**
 * The strong tag of a row at a version. It names the row too: `/users/me` is another user for each caller, and their
 * representations must not share a validator (RFC 9110, section 8.8.1).
 */
export function versionTag(id: number, version: number): string {
  return `"${id}.v${version}"`;
}

interface Tag {
  readonly weak: boolean;
  readonly opaque: string;
}

/** Whether an If-None-Match field matches the tag: weak comparison, and `*` matches anything. */
export function matchesWeakly(field: string, tag: string): boolean {
  if (isAny(field)) return true;
  const [current] = parseTags(tag);
  return current !== undefined && parseTags(field).some((each) => each.opaque === current.opaque);
}

/** Whether an If-Match field matches the tag: strong comparison, and `*` matches anything that exists. */
export function matchesStrongly(field: string, tag: string): boolean {
  if (isAny(field)) return true;
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

/**
 * Whether conditions hold that a request to change something has (RFC 9110, section 13.2.2): If-Match first, then
 * If-None-Match. `tag` is undefined for a resource without an entity tag, which no list of tags matches.
 * If-Unmodified-Since is ignored, as section 13.1.4 demands where there is no modification date.
 */
export function mayChange(conditions: WriteConditions, tag: string | undefined): boolean {
  const { 'if-match': match, 'if-none-match': noneMatch } = conditions;
  if (match !== undefined && !(tag === undefined ? isAny(match) : matchesStrongly(match, tag))) return false;
  if (noneMatch === undefined) return true;
  return !(tag === undefined ? isAny(noneMatch) : matchesWeakly(noneMatch, tag));
}

export interface WriteConditions {
  readonly 'if-match'?: string | undefined;
  readonly 'if-none-match'?: string | undefined;
}

/** Whether a field is `*`, which stands for any current representation. */
export function isAny(field: string): boolean {
  return field.trim() === '*';
}

/** Whether nothing was modified since a date; false for a text that is no date. */
export function isUnmodifiedSince(field: string, lastModified: string): boolean {
  const since = Date.parse(field);
  const modified = Date.parse(lastModified);
  return Number.isFinite(since) && Number.isFinite(modified) && modified <= since;
}

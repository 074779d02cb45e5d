/**
 * Validators and conditional requests (RFC 9110, sections 8.8 and 13). An entity tag is a quoted opaque text; a weak one has the
 * prefix `W/`. The tag of a compressed response has the coding as a suffix, because its bytes are different. A condition with
 * such a tag means the same version of the resource, so comparisons ignore the suffix.
 */

/** Returns `"v1-gzip"` for `"v1"` and `gzip`. */
export function codedTag(tag: string, coding: string): string {
  return tag.endsWith('"') ? `${tag.slice(0, -1)}-${coding}"` : tag;
}

/**
 * Returns the strong tag of a row at a version. It contains the id, because `/users/me` is a different user for each caller, and
 * different representations must not share a validator (RFC 9110, section 8.8.1).
 */
export function versionTag(id: number, version: number): string {
  return `"${id}.v${version}"`;
}

interface Tag {
  readonly weak: boolean;
  readonly opaque: string;
}

/** Returns whether an If-None-Match field matches the tag: weak comparison; `*` matches every tag. */
export function matchesWeakly(field: string, tag: string): boolean {
  if (isAny(field)) return true;
  const [current] = parseTags(tag);
  return current !== undefined && parseTags(field).some((each) => each.opaque === current.opaque);
}

/** Returns whether an If-Match field matches the tag: strong comparison; `*` matches every existing resource. */
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
 * Returns whether the conditions of a write hold (RFC 9110, section 13.2.2): first If-Match, then If-None-Match. `tag` is
 * undefined for a resource without an entity tag, which no list of tags matches. If-Unmodified-Since is ignored, as section
 * 13.1.4 requires for a resource without a modification date.
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

/** Returns whether a field is `*`, which matches any current representation. */
export function isAny(field: string): boolean {
  return field.trim() === '*';
}

/** Returns whether the resource is unmodified since a date; false for text that is not a date. */
export function isUnmodifiedSince(field: string, lastModified: string): boolean {
  const since = Date.parse(field);
  const modified = Date.parse(lastModified);
  return Number.isFinite(since) && Number.isFinite(modified) && modified <= since;
}

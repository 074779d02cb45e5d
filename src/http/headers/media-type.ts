/** A media type in lower case without parameters, and its charset (RFC 9110, section 8.3). */
export interface MediaType {
  readonly type: string;
  readonly charset: string | undefined;
}

/** Parses a Content-Type. Returns undefined if it has not the form type/subtype. */
export function parseMediaType(header: string): MediaType | undefined {
  const known = cache.get(header);
  if (known !== undefined) return known;
  const semicolon = header.indexOf(';');
  const type = (semicolon < 0 ? header : header.slice(0, semicolon)).trim().toLowerCase();
  if (!/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(type)) return undefined;
  const charset =
    semicolon < 0 ? undefined : /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(header)?.[1]?.toLowerCase();
  const parsed = { type, charset };
  if (cache.size < 200) cache.set(header, parsed);
  return parsed;
}
const cache = new Map<string, MediaType>();

/** Returns whether a media type is JSON: `application/json` or a type with the suffix `+json` (RFC 6839). */
export function isJson(type: string): boolean {
  return type === 'application/json' || type.endsWith('+json');
}

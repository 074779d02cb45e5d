/** A longer path is not sent back to the client. */
const maxLength = 1000;

/** Characters that must be encoded in a path: all but pchar and the slash (RFC 3986, section 3.3). */
const notInPath = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]/g;

/**
 * Returns the path of a raw request target as a URI reference that resolves to this path (RFC 3986, section 4.2), for the
 * member `instance` of a problem (RFC 9457, section 3.1.5). Characters that no URI may have are encoded. Undefined if no
 * reference resolves to the path (the target has no path, or it has dot segments, which resolution removes), and for a path
 * that is too long.
 */
export function pathReference(target: string): string | undefined {
  const mark = target.indexOf('?');
  const only = mark < 0 ? target : target.slice(0, mark);
  if (only.length <= maxLength && plainPath.test(only)) return only;
  const { origin, path = origin && '/' } = targetParts.exec(target)?.groups ?? {};
  if (path === undefined || path.length > maxLength || hasDotSegment.test(path)) return undefined;
  const encoded = path.replace(notInPath, encode);
  // Two slashes at the start would name a host. A `/.` before them prevents that, and resolution removes it.
  return encoded.startsWith('//') ? `/.${encoded}` : encoded;
}

/** Most paths: without anything to encode, and without a dot, so that they have no dot segment. */
const plainPath = /^\/(?!\/)[A-Za-z0-9\-_~/]*$/;

/** The path of an absolute URI without one is `/` (RFC 9110, section 4.2.3). */
const targetParts = /^(?<origin>https?:\/\/[^/?#]*)?(?<path>\/[^?]*)?/i;

/** WHATWG URL parsers also remove segments of encoded dots. */
const hasDotSegment = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i;

/** Node decodes a target as Latin-1: each character is one byte. */
function encode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** A longer path is not repeated to the client. */
const maxLength = 1000;

/** What a path may have as it is: pchar and the slash (RFC 3986, section 3.3). */
const notInPath = /%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]/g;

/**
 * The path of a request target as a URI reference that resolves to this very path (RFC 3986, section 4.2), for the member
 * `instance` of a problem (RFC 9457, section 3.1.5). The target is as it came: still encoded, or malformed, in which case
 * what no URI has is encoded. Undefined for what no reference resolves to: a target without a path, and a path with dot
 * segments, which are removed on resolution; and for a path that is too long to repeat.
 */
export function pathReference(target: string): string | undefined {
  const { origin, path = origin && '/' } = targetParts.exec(target)?.groups ?? {};
  if (path === undefined || path.length > maxLength || hasDotSegment.test(path)) return undefined;
  const encoded = path.replace(notInPath, encode);
  // Two slashes at the start would name a host; `/.` in front of them is removed on resolution.
  return encoded.startsWith('//') ? `/.${encoded}` : encoded;
}

/** An absolute URI without a path names the root (RFC 9110, section 4.2.3). */
const targetParts = /^(?<origin>https?:\/\/[^/?#]*)?(?<path>\/[^?]*)?/i;

/** A dot can be encoded: WHATWG URL parsers remove such segments too. */
const hasDotSegment = /(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i;

/** Node hands a target over as Latin-1, a byte for each character. */
function encode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

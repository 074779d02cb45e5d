/**
 * base64url without padding, as RFC 7515 (section 2) uses it.
 *
 * Node's decoder is forgiving: it skips characters outside of the alphabet, takes padding and the alphabet of plain
 * base64, and drops bits that are left over. Many texts would then be the same bytes, and one token could be written in
 * many ways. Each sequence of bytes has exactly one encoding, so a text is taken only if it is that one.
 */

export function encodeBase64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}

/** The bytes of a text, or undefined if it is not exactly what encoding these bytes gives. */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}

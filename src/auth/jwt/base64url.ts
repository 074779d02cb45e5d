/**
 * base64url without padding, as RFC 7515 (section 2) uses it.
 *
 * The decoder of Node is lenient: it skips characters outside the alphabet, accepts padding and the alphabet of plain
 * base64, and drops leftover bits. Many texts would then decode to the same bytes, and one token would have many spellings.
 * Each sequence of bytes has exactly one canonical encoding, so only that text is accepted.
 */

export function encodeBase64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}

/** Decodes a text. Returns undefined if it is not the canonical encoding of its bytes. */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}

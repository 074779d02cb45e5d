/**
 * Makes values safe to show in errors, in warnings and in the output of `npm run config`.
 *
 * An error shows the invalid value, which can be anything: a password in the wrong variable, half a URL, or a line
 * break that forges a log line. So no value is shown unchanged.
 */

const maxShownLength = 100;

/**
 * Returns the text in quotes for an error message: credentials (everything before an `@`) are masked, control characters
 * are escaped, and the text is cut at 100 characters. Masking comes first, so that no part of a secret remains.
 */
export function quote(text: string): string {
  const masked = text.replace(/:\/\/.*@/gs, '://***@').replace(/[^\s"'[\],/]*@/g, '***@');
  return JSON.stringify(masked.length > maxShownLength ? `${masked.slice(0, maxShownLength)}…` : masked);
}

/** Masks the password of every URL in the text. */
export function maskPasswords(text: string): string {
  return text.replace(/(:\/\/[^\s/:@]*):[^\s/]*@/g, '$1:***@');
}

/**
 * Masks the password of a URL and the value of every parameter whose name indicates a secret. It works on the text
 * because the URL of a database can name several hosts, which URL parsers do not accept.
 */
export function maskUrlPassword(url: string): string {
  return url
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^/?#:@]*):[^/?#@]*@/i, '$1:***@')
    .replace(/([?&][^=&#]*(?:pass|secret|token|key)[^=&#]*=)[^&#]+/gi, '$1***');
}

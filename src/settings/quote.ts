/**
 * How a value may be shown to a person: in a fault, in a warning, in the table of `npm run config`.
 *
 * A fault shows what the variable got, and what it got may be a mistake of any kind: a password in the wrong
 * variable, half a URL, a line break meant to forge a log line. So nothing is shown as it came.
 */

const maxShownLength = 100;

/**
 * A text in quotes for an error message: credentials (whatever stands before an `@`) masked, control characters
 * escaped, and cut at 100 characters. It is masked before it is cut, so that half a secret is never left over.
 */
export function quote(text: string): string {
  const masked = text.replace(/:\/\/.*@/gs, '://***@').replace(/[^\s"'[\],/]*@/g, '***@');
  return JSON.stringify(masked.length > maxShownLength ? `${masked.slice(0, maxShownLength)}…` : masked);
}

/** A text with the password of every URL in it masked. */
export function maskPasswords(text: string): string {
  return text.replace(/(:\/\/[^\s/:@]*):[^\s/]*@/g, '$1:***@');
}

/**
 * A URL with its password masked, and the value of every parameter whose name speaks of a secret. The URL of a
 * database can name several hosts, which no parser of URLs reads, so this looks at the text.
 */
export function maskUrlPassword(url: string): string {
  return url
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^/?#:@]*):[^/?#@]*@/i, '$1:***@')
    .replace(/([?&][^=&#]*(?:pass|secret|token|key)[^=&#]*=)[^&#]+/gi, '$1***');
}

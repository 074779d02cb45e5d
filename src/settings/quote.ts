/**
 * How a value may be shown to a person: in a fault, in a warning, in the table of `npm run config`.
 *
 * A fault shows what the variable got, and what it got may be a mistake of any kind: a password in the wrong
 * variable, half a URL, a line break meant to forge a log line. So nothing is shown as it came.
 */

const longestShown = 100;

/**
 * A text in quotes for an error message: credentials (whatever stands before an `@`) masked, control characters
 * escaped, and cut at 100 characters. It is masked before it is cut, so that half a secret is never left over.
 */
export function quote(text: string): string {
  const masked = text.replace(/:\/\/.*@/gs, '://***@').replace(/[^\s"'[\],/]*@/g, '***@');
  return JSON.stringify(masked.length > longestShown ? `${masked.slice(0, longestShown)}…` : masked);
}

/** A text with the password of every URL in it masked. */
export function maskPasswords(text: string): string {
  return text.replace(/(:\/\/[^\s/:@]*):[^\s/]*@/g, '$1:***@');
}

/** A valid URL with its password masked, and with every parameter whose name speaks of a secret. */
export function maskUrlPassword(url: string): string {
  if (!URL.canParse(url)) return url;
  const parsed = new URL(url);
  if (parsed.password !== '') parsed.password = '***';
  for (const name of [...parsed.searchParams.keys()]) {
    if (/pass|secret|token|key/i.test(name)) parsed.searchParams.set(name, '***');
  }
  return parsed.href;
}

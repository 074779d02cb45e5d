/**
 * The path and the query of a request for the log. The client chooses both, up to the limit of the headers, so they are
 * masked, then cut: the log lines of a request stay short in any case.
 */

import { cutText } from './log-text.ts';
import { maskForms } from './mask-forms.ts';
import { maskEmails, redactQuery } from './redact.ts';

/** The maximum length of each, in characters. */
const maxLength = 512;

/** Returns the path with credentials and e-mail addresses masked, and cut. */
export function showPath(path: string): string {
  return cutText(maskForms(maskEmails(path)), maxLength);
}

/** Returns the raw query in the same way, with the values of parameters with a secret name masked too. */
export function showQuery(query: string): string {
  return query === '' ? '' : cutText(maskForms(maskEmails(redactQuery(query))), maxLength);
}

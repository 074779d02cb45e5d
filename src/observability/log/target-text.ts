/**
 * The path and the query of a request as the log shows them. A client chooses both, up to the size of its headers, so
 * they are masked first, then cut: both lines of a request stay short whatever was asked for.
 */

import { cutText } from './log-text.ts';
import { maskForms } from './mask-forms.ts';
import { maskEmails, redactQuery } from './redact.ts';

/** The most characters of each. */
const maxLength = 512;

/** The path with credentials and e-mail addresses masked, and cut. */
export function showPath(path: string): string {
  return cutText(maskForms(maskEmails(path)), maxLength);
}

/** The raw query in the same way, with the values of parameters masked whose names say that they are secret. */
export function showQuery(query: string): string {
  return query === '' ? '' : cutText(maskForms(maskEmails(redactQuery(query))), maxLength);
}

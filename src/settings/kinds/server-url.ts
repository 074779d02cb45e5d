import { reject } from './kind.ts';

/**
 * Reads the URL of a server that may hold a user name and a password: one that every parser takes apart in the same
 * way, for half a password read as a path would end up in the log.
 */
export function readServerUrl(text: string): string {
  const encode =
    'percent-encode what is special in the user name and the password (@ is %40, : %3A, / %2F, ? %3F, # %23)';
  if (/[\s\p{Cc}#]/u.test(text) || !URL.canParse(text)) return reject(`the URL is not valid; ${encode}`);
  const url = new URL(text);
  const parts = [url.username, url.password, url.pathname];
  if (`${url.pathname}${url.search}`.includes('@') || !parts.every(isPercentEncoded)) return reject(encode);
  if (url.hostname === '') return reject('the URL names no host');
  return text;
}

function isPercentEncoded(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

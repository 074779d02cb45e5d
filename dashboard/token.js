/**
 * The token of the management port. The session storage of the tab keeps it, and requests send it in a header; never as a
 * cookie, which a browser would also send for requests of other sites.
 *
 * A local server prints a link with its token as `#token=…`. A browser never sends that part of an address. It is removed
 * from the address bar at once, so that it is not copied or shared with the address.
 */

const key = 'strata-management-token';

export function token() {
  return sessionStorage.getItem(key) ?? '';
}

/** @param {string} value empty to forget it */
export function keepToken(value) {
  if (value === '') sessionStorage.removeItem(key);
  else sessionStorage.setItem(key, value);
}

/** Keeps the token of the address, and removes it there. Returns whether there was one. */
export function takeTokenFromAddress() {
  const found = new URLSearchParams(location.hash.slice(1)).get('token');
  if (found === null) return false;
  history.replaceState(history.state, '', location.pathname + location.search);
  keepToken(found.trim());
  return true;
}

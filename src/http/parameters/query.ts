/**
 * A query string or a urlencoded form as a record: a single value is a string, a repeated name is an array. The record has no
 * prototype, so `__proto__` and `toString` are ordinary names.
 */
export type Query = Record<string, string | string[]>;

/** The maximum number of parameters; a request with more is rejected. */
export const maxParameters = 1000;

/** Parses a query string. Returns undefined if a percent-encoding is not UTF-8 or there are more than 1,000 parameters. */
export function parseQuery(text: string): Query | undefined {
  const query: Query = Object.create(null);
  if (text === '') return query;
  const pairs = text.split('&', maxParameters + 1);
  if (pairs.length > maxParameters) return undefined;
  for (const pair of pairs) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decodeText(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : decodeText(pair.slice(equals + 1));
    if (name === undefined || value === undefined) return undefined;
    const present = query[name];
    if (present === undefined) query[name] = value;
    else if (typeof present === 'string') query[name] = [present, value];
    else present.push(value);
  }
  return query;
}

function decodeText(text: string): string | undefined {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    return undefined;
  }
}

/**
 * What never stands in a log line: values under a name that says they are secret, and whole e-mail addresses.
 * Redaction is by name, before anything is cut short, so that half a secret is never left over. Credentials
 * inside free text (a URL with a password) are masked by `maskUrl`.
 */

export const redacted = '***REDACTED***';

/** Names, compared in lower case without `-`, `_`, spaces and brackets, whose values are secret wherever they stand. */
const secretName =
  /^(?:.*(?:password|passwd|pwd|passphrase|passwordhash|secret|apikey|privatekey|accesskey)|(?:.*token)|pass|authorization|proxyauthorization|cookie|setcookie|credentials?|otp|pin|signature|sig|jwt|session(?:id)?)$/;

/** Whether a field, header or query parameter of this name holds a secret. */
export function isSecretName(name: string): boolean {
  const known = secretNames.get(name);
  if (known !== undefined) return known;
  const secret = secretName.test(name.toLowerCase().replace(/[-_\s[\]]/g, ''));
  // Names come from clients too: the memory of them is bounded.
  if (secretNames.size < 1000) secretNames.set(name, secret);
  return secret;
}
const secretNames = new Map<string, boolean>();

/**
 * Copies log fields with every secret masked, at any depth up to 8. Errors become name, message and stack. Never
 * throws: of fields that cannot be read, it says so.
 */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  try {
    const copy: Record<string, unknown> = {};
    for (const name of Object.keys(fields)) copy[name] = redactValue(name, fields[name], 0);
    return copy;
  } catch {
    return { fields: '[unreadable]' };
  }
}

function redactValue(name: string, value: unknown, depth: number): unknown {
  if (value === null || value === undefined) return value;
  if (isSecretName(name)) return redacted;
  if (typeof value === 'string') return name === 'email' ? maskEmail(value) : value;
  if (typeof value === 'bigint') return value.toString();
  // A function says nothing in a log, and one named toJSON would be called.
  if (typeof value === 'function') return undefined;
  if (typeof value !== 'object') return value;
  if (depth >= 8) return '[too deep]';
  if (value instanceof Error) return describeError(value, depth);
  if (value instanceof Date) return value;
  if (Array.isArray(value)) return value.map((item) => redactValue('', item, depth + 1));
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) copy[key] = redactValue(key, item, depth + 1);
  return copy;
}

function describeError(error: Error, depth: number): Record<string, unknown> {
  const described: Record<string, unknown> = {
    type: error.name,
    message: maskUrl(error.message),
    stack: error.stack === undefined ? undefined : maskUrl(error.stack),
  };
  if ('code' in error) described.code = redactValue('', error.code, depth + 1);
  if (error.cause !== undefined) described.cause = redactValue('cause', error.cause, depth + 1);
  return described;
}

/** `ada@example.org` becomes `a***@example.org`: enough to recognise a report, not enough to write to. */
export function maskEmail(email: string): string {
  const at = email.lastIndexOf('@');
  return at < 1 ? redacted : `${email.slice(0, 1)}***${email.slice(at)}`;
}

/** An at sign, also percent-encoded once or more, before what can be a domain: a letter or digit of any script, or `[`. */
const atSign = /(?:@|%(?:25)*40)(?=[\p{L}\p{N}_%[-])/gu;

/** What ends the name before an at sign on its left, if that is not quoted. */
const border = /[\s"<>()[\]:;,&=/\\?@]/;

/**
 * The same for every e-mail address in a text, plain or percent-encoded, unless it is masked already. It masks too much rather than too little, since
 * its texts are for the log, and takes a time that is linear in the text's length.
 */
export function maskEmails(text: string): string {
  if (!text.includes('@') && !text.includes('40')) return text;
  let masked = '';
  let done = 0;
  for (const { index, 0: sign } of text.matchAll(atSign)) {
    if (text.endsWith('***', index)) continue;
    const start = startOfName(text, done, index);
    if (start < index) masked += `${text.slice(done, start + 1)}***${sign}`;
    else masked += text.slice(done, index) + sign;
    done = index + sign.length;
  }
  return masked + text.slice(done);
}

/** Where the name begins that ends before `end`: at the quote that opens it, or behind a border; not before `from`. */
function startOfName(text: string, from: number, end: number): number {
  const quote = text.charAt(end - 1) === '"' ? text.lastIndexOf('"', end - 2) : -1;
  if (quote >= from) return quote;
  let start = end;
  while (start > from && !border.test(text.charAt(start - 1))) start -= 1;
  return start;
}

/** Masks the password of every URL in a text. The scheme's length is bounded to keep the time linear in the text's. */
export function maskUrl(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]{0,31}:\/\/[^\s/?#:@]*):[^\s/?#]*@/gi, `$1:${redacted}@`);
}

/** A raw query string with the values of secret parameters masked. */
export function redactQuery(query: string): string {
  if (query === '' || !query.includes('=')) return query;
  return query
    .split('&')
    .map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 0) return pair;
      return isSecretParameter(decodeName(pair.slice(0, equals)))
        ? `${pair.slice(0, equals)}=${redacted}`
        : pair;
    })
    .join('&');
}

/** In a query string, `code` is what OAuth trades for tokens; in a log line, it says what went wrong. */
function isSecretParameter(name: string): boolean {
  return name.toLowerCase() === 'code' || isSecretName(name);
}

function decodeName(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '));
  } catch {
    return name;
  }
}

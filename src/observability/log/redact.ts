/**
 * Masks secrets in log fields: values with a secret name, credentials recognised by their form (`mask-forms.ts`), and e-mail
 * addresses. A text is masked before it is cut, so that no half of a secret remains. Length, depth and number of fields are
 * limited before they are serialised, so that no value costs much time or memory.
 */

import { AppError, isFault } from '../../errors.ts';
import { cutText } from './log-text.ts';
import { maskForms, redacted } from './mask-forms.ts';

/** Text beyond this length is never shown, and not searched for credentials. */
const maxSearched = 16_384;
const maxShown = 2048;
const maxHeader = 512;
const maxDepth = 8;
/** The maximum number of members of one value, and of all fields together. */
const maxMembers = 100;
const maxNodes = 1000;

/** Names of secret values, compared in lower case without `-`, `_`, spaces and brackets. */
const secretName =
  /^(?:.*(?:password|passwd|pwd|passphrase|passwordhash|secret|apikey|privatekey|accesskey)|(?:.*token)|pass|authorization|proxyauthorization|cookie|setcookie|credentials?|otp|pin|signature|sig|jwt|session(?:id)?)$/;

/** Returns whether a field, header or query parameter of this name holds a secret. */
export function isSecretName(name: string): boolean {
  const known = secretNames.get(name);
  if (known !== undefined) return known;
  const secret = secretName.test(name.toLowerCase().replace(/[-_\s[\]]/g, ''));
  // Clients choose names too, so the cache is bounded.
  if (secretNames.size < 1000) secretNames.set(name, secret);
  return secret;
}
const secretNames = new Map<string, boolean>();

/**
 * Copies log fields with every secret masked, at any depth up to 8, and texts cut. Errors become type, message, stack,
 * code and cause. Never throws: a value that cannot be read becomes `[unreadable]`.
 */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  try {
    const copy = copyMembers(fields, -1, { nodes: maxNodes }, safeName);
    // Kept even if other fields are omitted, because they identify the lines of a request.
    for (const name of requestIds) {
      const id = fields[name];
      if (typeof id === 'string') copy[name] = maskText(id);
    }
    return copy;
  } catch {
    return { fields: '[unreadable]' };
  }
}

const requestIds = ['request_id', 'trace_id', 'span_id'];

/** The number of values that a call of `redact` may still copy. */
interface Budget {
  nodes: number;
}

/** pino writes the names of fields unescaped, and does not check for duplicates of its own fields. */
function safeName(name: string): string {
  const safe = /^[\w$.-]*$/.test(name) ? name : JSON.stringify(maskText(name)).slice(1, -1);
  return name === 'level' || name === 'timestamp' || name === 'event' ? `${safe}_` : safe;
}

function redactValue(name: string, value: unknown, depth: number, budget: Budget): unknown {
  if (value === null || value === undefined) return value;
  if (isSecretName(name)) return redacted;
  if (typeof value === 'string') return name === 'email' ? maskEmail(value) : maskText(value);
  if (typeof value === 'bigint') return maskText(value.toString());
  // Functions are omitted: JSON.stringify would call one named toJSON.
  if (typeof value === 'function') return undefined;
  if (typeof value !== 'object') return value;
  if (depth >= maxDepth) return '[too deep]';
  try {
    return redactObject(value, depth, budget);
  } catch {
    return '[unreadable]';
  }
}

function redactObject(value: object, depth: number, budget: Budget): unknown {
  if (value instanceof Error) return describeError(value, depth, budget);
  if (value instanceof Date) return value;
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (!Array.isArray(value)) return copyMembers(value, depth, budget, maskText);
  const items: unknown[] = [];
  for (const item of value) {
    if (items.length >= maxMembers || budget.nodes <= 0) {
      items.push(`[+${value.length - items.length} items]`);
      break;
    }
    budget.nodes -= 1;
    items.push(redactValue('', item, depth + 1, budget));
  }
  return items;
}

function copyMembers(
  value: object,
  depth: number,
  budget: Budget,
  nameOf: (name: string) => string,
): Record<string, unknown> {
  const copy: [name: string, value: unknown][] = [];
  const names = Object.keys(value);
  for (const [index, name] of names.entries()) {
    if (index >= maxMembers || budget.nodes <= 0) {
      copy.push(['omitted_members', names.length - index]);
      break;
    }
    budget.nodes -= 1;
    copy.push([nameOf(name), redactMember(value, name, depth, budget)]);
  }
  return Object.fromEntries(copy);
}

function redactMember(value: object, name: string, depth: number, budget: Budget): unknown {
  try {
    return redactValue(name, Reflect.get(value, name), depth + 1, budget);
  } catch {
    return '[unreadable]';
  }
}

/**
 * An error of the system, of the network or of PostgreSQL as it closes a connection, and an expected failure with its causes, are
 * written without a stack: their codes name the reason. The first stack that a process reads costs a tenth of a second, because Node.js
 * then parses the source map, and these errors occur when requests must not wait.
 */
function needsStack(error: Error): boolean {
  if (error instanceof AppError) return isFault(error);
  return !('errno' in error) && !('severity' in error && error.severity !== 'ERROR');
}

function describeError(
  error: Error,
  depth: number,
  budget: Budget,
  withStack = needsStack(error),
): Record<string, unknown> {
  const described: Record<string, unknown> = {
    type: redactValue('', error.name, depth + 1, budget),
    message: redactValue('', error.message, depth + 1, budget),
    stack: withStack && typeof error.stack === 'string' ? maskStack(error.stack) : undefined,
  };
  if ('code' in error) described.code = redactValue('', error.code, depth + 1, budget);
  if (error instanceof AggregateError) described.errors = redactValue('', error.errors, depth + 1, budget);
  const { cause } = error;
  if (!withStack && cause instanceof Error && depth + 1 < maxDepth) {
    described.cause = describeError(cause, depth + 1, budget, false);
  } else if (cause !== undefined) described.cause = redactValue('cause', cause, depth + 1, budget);
  return described;
}

/** The message is at the head of a stack. A long message is cut, so that the frames are kept. */
function maskStack(stack: string): string {
  const frames = stack.indexOf('\n    at ');
  if (frames <= maxHeader) return maskText(stack);
  return `${cutText(maskText(stack.slice(0, frames)), maxHeader)}${maskText(stack.slice(frames))}`;
}

const wordBorder = /[\s&/?,;"'<>]/;

/** Masks the credentials in a text, then cuts it. */
function maskText(text: string): string {
  if (text.length <= maxSearched) return cutText(maskForms(text), maxShown);
  // A credential that is cut in two would not be recognised, so the word at the cut is dropped.
  let end = maxSearched;
  while (end > maxShown && !wordBorder.test(text.charAt(end - 1))) end -= 1;
  return cutText(`${maskForms(text.slice(0, end))}… [+${text.length - end} characters]`, maxShown);
}

/** `ada@example.org` becomes `a***@example.org`: enough to recognise a report, not enough to write to. */
export function maskEmail(email: string): string {
  const at = email.lastIndexOf('@');
  return at < 1 ? redacted : `${email.slice(0, 1)}***${email.slice(at)}`;
}

/** An at sign, possibly percent-encoded, before the possible start of a domain: a letter or digit of any script, or `[`. */
const atSign = /(?:@|%(?:25)*40)(?=[\p{L}\p{N}_%[-])/gu;

/** Characters that delimit an unquoted local part on its left. */
const border = /[\s"<>()[\]:;,&=/\\?@]/;

/**
 * Masks every e-mail address in a text, plain or percent-encoded, unless it is masked already. It masks too much rather
 * than too little, since the texts are for the log, and runs in time linear in the length of the text.
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

/** Returns the start of the local part that ends before `end`: its opening quote, or the place after a delimiter. */
function startOfName(text: string, from: number, end: number): number {
  const quote = text.charAt(end - 1) === '"' ? text.lastIndexOf('"', end - 2) : -1;
  if (quote >= from) return quote;
  let start = end;
  while (start > from && !border.test(text.charAt(start - 1))) start -= 1;
  return start;
}

/** Masks a raw query string: values of parameters with a secret name, and percent-encoded credentials. */
export function redactQuery(query: string): string {
  if (query === '') return query;
  return query.split('&').map(redactPair).join('&');
}

function redactPair(pair: string): string {
  const equals = pair.indexOf('=');
  const name = equals < 0 ? '' : pair.slice(0, equals);
  if (isSecretParameter(decode(name))) return `${name}=${redacted}`;
  if (!pair.includes('%')) return pair;
  const decoded = decode(pair);
  // A credential that is visible without decoding is masked later, which keeps more of the text readable.
  if (maskForms(decoded) === decoded || maskForms(pair) !== pair) return pair;
  return equals < 0 ? redacted : `${maskForms(name)}=${redacted}`;
}

/** In a query string, `code` is an OAuth authorization code. In a log field, it is the code of an error. */
function isSecretParameter(name: string): boolean {
  return name.toLowerCase() === 'code' || isSecretName(name);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

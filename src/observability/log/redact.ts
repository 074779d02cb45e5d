/**
 * Keeps secrets out of log fields: values under a name that says they are secret, credentials that their form gives away
 * (`mask-forms.ts`), and e-mail addresses. A text is masked before it is cut, so that half a secret is never left over.
 * Fields are bounded in length, depth and number before they are serialised, so that no value costs much time or memory.
 */

import { cutText } from './log-text.ts';
import { maskForms, redacted } from './mask-forms.ts';

/** Longer texts are not even searched for credentials: what is behind is never shown. */
const maxSearched = 16_384;
const maxShown = 2048;
const maxHeader = 512;
const maxDepth = 8;
/** The most members of one value, and of all fields together. */
const maxMembers = 100;
const maxNodes = 1000;

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
 * Copies log fields with every secret masked, at any depth up to 8, and texts cut. Errors become type, message, stack,
 * code and cause. Never throws: a value that cannot be read becomes `[unreadable]`.
 */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  try {
    const copy = copyMembers(fields, -1, { nodes: maxNodes }, safeName);
    // It is what the lines of a request are found by, however many fields there are.
    if (typeof fields.request_id === 'string') copy.request_id = maskText(fields.request_id);
    return copy;
  } catch {
    return { fields: '[unreadable]' };
  }
}

/** How many more values a call of `redact` copies. */
interface Budget {
  nodes: number;
}

/** pino writes the names of fields without escapes, and a field of its own name would be in the line twice. */
function safeName(name: string): string {
  const safe = /^[\w$.-]*$/.test(name) ? name : JSON.stringify(maskText(name)).slice(1, -1);
  return name === 'level' || name === 'timestamp' || name === 'event' ? `${safe}_` : safe;
}

function redactValue(name: string, value: unknown, depth: number, budget: Budget): unknown {
  if (value === null || value === undefined) return value;
  if (isSecretName(name)) return redacted;
  if (typeof value === 'string') return name === 'email' ? maskEmail(value) : maskText(value);
  if (typeof value === 'bigint') return maskText(value.toString());
  // A function says nothing in a log, and one named toJSON would be called.
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

function describeError(error: Error, depth: number, budget: Budget): Record<string, unknown> {
  const described: Record<string, unknown> = {
    type: redactValue('', error.name, depth + 1, budget),
    message: redactValue('', error.message, depth + 1, budget),
    stack: typeof error.stack === 'string' ? maskStack(error.stack) : undefined,
  };
  if ('code' in error) described.code = redactValue('', error.code, depth + 1, budget);
  if (error instanceof AggregateError) described.errors = redactValue('', error.errors, depth + 1, budget);
  if (error.cause !== undefined) described.cause = redactValue('cause', error.cause, depth + 1, budget);
  return described;
}

/** The message is at the head of a stack: a long one is cut, so that the frames are not. */
function maskStack(stack: string): string {
  const frames = stack.indexOf('\n    at ');
  if (frames <= maxHeader) return maskText(stack);
  return `${cutText(maskText(stack.slice(0, frames)), maxHeader)}${maskText(stack.slice(frames))}`;
}

const wordBorder = /[\s&/?,;"'<>]/;

/** A text with its credentials masked, and cut. */
function maskText(text: string): string {
  if (text.length <= maxSearched) return cutText(maskForms(text), maxShown);
  // A credential that is cut in two would not be recognised: the word at the cut is left out.
  let end = maxSearched;
  while (end > maxShown && !wordBorder.test(text.charAt(end - 1))) end -= 1;
  return cutText(`${maskForms(text.slice(0, end))}… [+${text.length - end} characters]`, maxShown);
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

/** A raw query string with the values masked of parameters that are secret by their name, or hold a credential in percent-encoding. */
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
  // What masks the text as it came is done later, and leaves more of it to read.
  if (maskForms(decoded) === decoded || maskForms(pair) !== pair) return pair;
  return equals < 0 ? redacted : `${maskForms(name)}=${redacted}`;
}

/** In a query string, `code` is what OAuth trades for tokens; in a log line, it says what went wrong. */
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

/**
 * Describes a thrown value in two strings of bounded length. JavaScript can throw anything: an Error whose `message` is
 * an object, a getter that throws, a revoked proxy, a symbol, null, a string of 20 MB. So each property is read on its
 * own and at most once, a failed read counts as absent, and every string is cut.
 *
 * These functions never throw, so code that records a failure always has something to record.
 */

import { boundedJson } from './bounded-json.ts';

/** Maximum length of a message, and of a stack together with those of its causes, in UTF-16 units. */
export const maxMessage = 2_000;
export const maxStack = 10_000;

const maxCauses = 5;
const maxShown = 1_000;

export interface ThrownTexts {
  readonly message: string;
  /** Absent if there is none, for example because the value is not an Error. */
  readonly stack?: string;
}

/** Returns a message and a stack for any thrown value. */
export function describeThrown(thrown: unknown): ThrownTexts {
  if (!isError(thrown)) return { message: truncateText(`Thrown value: ${show(thrown)}`, maxMessage) };
  const message = truncateText(messageOf(thrown), maxMessage);
  const stack = stacksOf(thrown);
  return stack === '' ? { message } : { message, stack };
}

/** Returns at most `maxLength` UTF-16 units of the text, including a note of how many were cut. */
export function truncateText(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  const note = ` ... (${text.length - maxLength} more characters were cut)`;
  return text.slice(0, maxLength - note.length) + note;
}

/** Works like `instanceof`, but returns false instead of throwing: a proxy or `Symbol.hasInstance` can run code that throws. */
export function isInstance<T>(value: unknown, of: abstract new (...args: never[]) => T): value is T {
  try {
    return value instanceof of;
  } catch {
    return false;
  }
}

function isError(value: unknown): value is Error {
  return isInstance(value, Error);
}

/** Returns a property of an object; undefined if reading it throws. */
export function readSafely(from: object, name: string): unknown {
  try {
    return Reflect.get(from, name);
  } catch {
    return undefined;
  }
}

function messageOf(error: Error): string {
  const message = readSafely(error, 'message');
  if (typeof message === 'string' && message !== '') return message;
  const name = readSafely(error, 'name');
  const kind = typeof name === 'string' && name !== '' ? name : 'Error';
  if (message === undefined || message === '') return kind;
  return `${kind}, with a message that is not a string: ${show(message)}`;
}

function stacksOf(error: Error): string {
  let stacks = '';
  let each: unknown = error;
  for (let causes = 0; isError(each) && causes <= maxCauses && stacks.length < maxStack; causes += 1) {
    const stack = readSafely(each, 'stack');
    if (typeof stack === 'string' && stack !== '') {
      stacks += `${stacks === '' ? '' : '\nCaused by: '}${withShortHead(stack)}`;
    }
    each = readSafely(each, 'cause');
  }
  return truncateText(stacks, maxStack);
}

/** Cuts a long message at the head of a stack, so that the frames below it are kept. */
function withShortHead(stack: string): string {
  const frames = stack.indexOf('\n    at ');
  return frames <= maxMessage
    ? stack
    : truncateText(stack.slice(0, frames), maxMessage) + stack.slice(frames);
}

/** Returns a short text for any value. */
function show(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null)
    return typeof value === 'function' ? 'a function' : String(value);
  try {
    return boundedJson(value, maxShown) ?? 'an object';
  } catch {
    return 'an object that cannot be shown as JSON';
  }
}

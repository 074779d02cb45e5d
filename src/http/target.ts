/**
 * Parses the request target (RFC 9112, section 3.2): the text between the method and the version. Node does not validate it,
 * so it can be anything: `//`, `http://[`, `%zz`, `*`. It is decoded once, and `new URL(target, base)` is not used, because it
 * reads `//evil.example/` as a host.
 */

/** Why a target is rejected with 400: a sentence for the client. */
export type TargetError = string;

export interface Target {
  /** The unchanged target. */
  readonly raw: string;
  /** The percent-decoded path that the router matches; `*` for the asterisk form. */
  readonly path: string;
  /** The query string without `?`, not decoded. */
  readonly query: string;
  /** The host of an absolute-form target, which takes precedence over the Host header (RFC 9112, section 3.2.2). */
  readonly authority?: string;
  readonly error?: TargetError;
}

export interface TargetOptions {
  /** Reject `%00` in path and query. */
  readonly blockNullBytes: boolean;
}

/** Parses a request target. Never throws: `error` is the reason why a target is invalid. */
export function parseTarget(raw: string, options: TargetOptions): Target {
  if (raw.charCodeAt(0) === 47 /* / */) {
    return parsePathAndQuery(raw, raw, options);
  }
  if (raw === '*') return { raw, path: '*', query: '' };

  const absolute = /^https?:\/\/([^/?#]*)(.*)$/is.exec(raw);
  const authority = absolute?.[1];
  if (authority === undefined || authority === '' || authority.includes('@')) {
    return { raw, path: raw, query: '', error: 'The request target must be a path that starts with "/".' };
  }
  const rest = absolute?.[2] ?? '';
  const target = parsePathAndQuery(raw, rest.startsWith('/') ? rest : `/${rest}`, options);
  return { ...target, authority };
}

function parsePathAndQuery(raw: string, text: string, options: TargetOptions): Target {
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  const query = mark < 0 ? '' : text.slice(mark + 1);
  if (!needsChecks.test(text)) return { raw, path, query };

  const error = findError(path, query, options);
  return error === undefined ? { raw, path: decodeURIComponent(path), query } : { raw, path, query, error };
}

/** Matches a percent sign, a fragment, a backslash, and characters that are not printable ASCII. */
const needsChecks = /[%#\\]|[^!-~]/;

const malformedPercent = /%(?![0-9a-fA-F]{2})/;
const encodedControl = /%(?:[01][0-9a-fA-F]|7[fF])/;
const encodedSlash = /%(?:2[fF]|5[cC])/;

function findError(path: string, query: string, options: TargetOptions): TargetError | undefined {
  if (/[#\\]|[^!-~]/.test(path) || /[#]|[^!-~]/.test(query)) {
    return 'The request target has a character that must be percent-encoded.';
  }
  if (malformedPercent.test(path) || malformedPercent.test(query)) {
    return 'The request target has a "%" that is not followed by two hexadecimal digits.';
  }
  if (options.blockNullBytes && (path.includes('%00') || query.includes('%00'))) {
    return 'The request target has a null byte (%00).';
  }
  if (encodedControl.test(options.blockNullBytes ? path : path.replaceAll('%00', ''))) {
    return 'The path has a percent-encoded control character.';
  }
  if (encodedSlash.test(path)) {
    return 'The path has a percent-encoded slash or backslash (%2F, %5C), which no route accepts.';
  }
  if (!decodes(path) || !decodes(query)) {
    return 'The request target is percent-encoded, but not as UTF-8.';
  }
  return undefined;
}

function decodes(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

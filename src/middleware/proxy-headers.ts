/**
 * Determines the client behind proxies. Behind a proxy, the peer of the socket is the proxy, and the client address is in a
 * header that any client can forge. So a header counts only if the peer that sent it is trusted. Its list is read from the
 * right, where the nearest proxy appended: an entry is believed if the hop that reported it is trusted, and the first
 * untrusted entry is the client.
 *
 * The layer reads `X-Forwarded-For`, `-Proto` and `-Host`. It reads `Forwarded` (RFC 7239) only if `X-Forwarded-For` is
 * absent: nearly every proxy writes the latter and forwards the former unchanged from the client. The walk stops at an entry
 * that is not an address (`unknown`, `_hidden`, garbage); the last valid address is then the client.
 */

import { AppError } from '../errors.ts';
import { canonicalAddress, createAddressSet } from '../http/connection/addresses.ts';
import type { Context, Middleware } from '../http/context.ts';
import { isHostField } from '../http/headers/host.ts';
import type { Logger } from '../observability/logger.ts';

export interface ProxyHeadersOptions {
  readonly log: Logger;
  /** Addresses and CIDR blocks of trusted proxies. Empty: no header is believed. */
  readonly trusted: readonly string[];
}

interface Hop {
  readonly address: string;
  readonly proto: string | undefined;
  readonly host: string | undefined;
}

/** The maximum number of hops that are followed. */
const maxHops = 32;

export function proxyHeaders({ log, trusted }: ProxyHeadersOptions): Middleware {
  const isTrusted = createAddressSet(trusted);
  let warned = false;

  return function proxyHeaders(ctx, next) {
    const { headers } = ctx.request;
    const forwarded = joinFields(headers.forwarded);
    const forwardedFor = joinFields(headers['x-forwarded-for']);
    const forwardedProto = joinFields(headers['x-forwarded-proto']);
    if (forwarded === undefined && forwardedFor === undefined && forwardedProto === undefined)
      return next(ctx);

    if (!isTrusted(ctx.clientAddress)) {
      if (!warned) {
        warned = true;
        log.warning('proxy.untrusted_peer', {
          peer: ctx.clientAddress,
          advice:
            'If this is your proxy, set SECURITY_TRUST_PROXY_HEADERS=true and add its address to SECURITY_TRUSTED_PROXIES.',
        });
      }
      return next(ctx);
    }
    const hops =
      forwarded === undefined || forwardedFor !== undefined
        ? legacyHops(forwardedFor, forwardedProto, joinFields(headers['x-forwarded-host']))
        : parseForwarded(forwarded);
    applyHops(ctx, hops, isTrusted);
    return next(ctx);
  };
}

/** Walks from the nearest hop outwards, as long as the previous hop is trusted. */
function applyHops(ctx: Context, hops: readonly Hop[], isTrusted: (address: string) => boolean): void {
  for (const hop of hops.toReversed().slice(0, maxHops)) {
    if (hop.proto === 'http' || hop.proto === 'https') ctx.scheme = hop.proto;
    if (hop.host !== undefined) applyHost(ctx, hop.host);
    const address = canonicalAddress(hop.address);
    if (address === undefined) return;
    ctx.clientAddress = address;
    if (!isTrusted(ctx.clientAddress)) return;
  }
}

/** Validates a forwarded host like a Host header: a proxy may forward it unchanged from its client. */
function applyHost(ctx: Context, host: string): void {
  ctx.host = host.toLowerCase();
  if (isHostField(ctx.host)) return;
  ctx.messageError ??= new AppError('bad_host', 'The forwarded host is not a host with an optional port.', {
    layer: 'proxy-headers',
  });
}

/**
 * Returns the hops of the `X-Forwarded-*` headers. `X-Forwarded-Proto` and `-Host` contain either the value of the nearest
 * proxy, or one entry per proxy like `X-Forwarded-For`, with the nearest last.
 */
function legacyHops(
  addresses: string | undefined,
  proto: string | undefined,
  host: string | undefined,
): Hop[] {
  const protos = splitList(proto);
  const hosts = splitList(host);
  const entries = addresses === undefined ? [''] : splitList(addresses);
  const fromRight = (values: string[], index: number) =>
    values.length === 1
      ? index === entries.length - 1
        ? values[0]
        : undefined
      : values[values.length - entries.length + index];
  return entries.map((address, index) => ({
    address: withoutPort(address),
    proto: fromRight(protos, index)?.toLowerCase(),
    host: fromRight(hosts, index),
  }));
}

/**
 * Parses a Forwarded header (RFC 7239, section 4) from the right: a quotation mark that a client opened and did not close
 * must not swallow the entries that proxies appended after it.
 */
function parseForwarded(header: string): Hop[] {
  return splitOutsideQuotes(header, ',').map((element) => {
    const pairs = new Map<string, string>();
    for (const pair of splitOutsideQuotes(element, ';')) {
      const equals = pair.indexOf('=');
      if (equals > 0)
        pairs.set(pair.slice(0, equals).trim().toLowerCase(), unquote(pair.slice(equals + 1).trim()));
    }
    return {
      address: withoutPort(pairs.get('for') ?? ''),
      proto: pairs.get('proto')?.toLowerCase(),
      host: pairs.get('host'),
    };
  });
}

function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = [];
  let quoted = false;
  let end = text.length;
  for (let at = text.length - 1; at >= 0; at -= 1) {
    const character = text[at];
    if (character === '"' && text[at - 1] !== '\\') quoted = !quoted;
    else if (character === separator && !quoted) {
      parts.push(text.slice(at + 1, end));
      end = at;
    }
  }
  parts.push(text.slice(0, end));
  return parts.reverse();
}

function unquote(value: string): string {
  return value.startsWith('"') && value.endsWith('"') && value.length > 1
    ? value.slice(1, -1).replace(/\\(.)/g, '$1')
    : value;
}

/** Removes port and brackets: `192.0.2.1:80`, `[2001:db8::1]:_hidden` (the node of RFC 7239, section 6). */
function withoutPort(text: string): string {
  const address = text.trim();
  const bracketed = /^\[([^\]]*)\](?::(?:\d{1,5}|_[\w.-]+))?$/.exec(address)?.[1];
  if (bracketed !== undefined) return bracketed.includes(':') ? bracketed : '';
  return /^([^:]+):(?:\d{1,5}|_[\w.-]+)$/.exec(address)?.[1] ?? address;
}

function splitList(header: string | undefined): string[] {
  return header === undefined ? [] : header.split(',').map((each) => each.trim());
}

function joinFields(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.join(', ');
}

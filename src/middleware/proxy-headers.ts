/**
 * Who really sent this: behind a proxy the socket's peer is the proxy, and the client stands in a header that
 * anybody can write. So a header counts only if the peer that sent it is trusted, and its list is read from the
 * right, where the nearest proxy wrote: each entry is believed as long as the one that reported it is trusted,
 * and the first that is not trusted is the client.
 *
 * `X-Forwarded-For`, `-Proto` and `-Host` are read, and `Forwarded` (RFC 7239) where there is no `X-Forwarded-For`:
 * nearly every proxy writes the former and hands the latter on as the client sent it. Entries that are no addresses
 * (`unknown`, `_hidden`, garbage) end the walk at the last one that was.
 */

import { AppError } from '../errors.ts';
import { canonicalAddress, createAddressSet } from '../http/addresses.ts';
import type { Context, Middleware } from '../http/context.ts';
import { isHostField } from '../http/headers/host.ts';
import type { Logger } from '../observability/logger.ts';

export interface ProxyHeadersOptions {
  readonly log: Logger;
  /** Addresses and CIDR blocks of the proxies whose headers count; empty trusts nobody. */
  readonly trusted: readonly string[];
}

interface Hop {
  readonly address: string;
  readonly proto: string | undefined;
  readonly host: string | undefined;
}

/** The longest chain of proxies that is followed. */
const maxHops = 32;

export function proxyHeaders({ log, trusted }: ProxyHeadersOptions): Middleware {
  const isTrusted = createAddressSet(trusted);
  let warned = false;

  return function proxyHeaders(ctx, next) {
    const { headers } = ctx.request;
    const forwarded = one(headers.forwarded);
    const forwardedFor = one(headers['x-forwarded-for']);
    const forwardedProto = one(headers['x-forwarded-proto']);
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
        ? legacyHops(forwardedFor, forwardedProto, one(headers['x-forwarded-host']))
        : parseForwarded(forwarded);
    applyHops(ctx, hops, isTrusted);
    return next(ctx);
  };
}

/** Walks from the nearest hop outwards, as long as the hop before it was trusted. */
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

/** The proxy may forward what its client sent, so the same rules hold for it as for a Host header. */
function applyHost(ctx: Context, host: string): void {
  ctx.host = host.toLowerCase();
  if (isHostField(ctx.host)) return;
  ctx.messageError ??= new AppError('bad_host', 'The forwarded host is not a host with an optional port.', {
    layer: 'proxy-headers',
  });
}

/**
 * `X-Forwarded-Proto` and `-Host` name what the nearest proxy saw, or a list with one entry a proxy like
 * `X-Forwarded-For`; the last entry is the nearest's.
 */
function legacyHops(
  addresses: string | undefined,
  proto: string | undefined,
  host: string | undefined,
): Hop[] {
  const protos = list(proto);
  const hosts = list(host);
  const entries = addresses === undefined ? [''] : list(addresses);
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
 * The elements of a Forwarded header (RFC 7239, section 4). It is taken apart from the right, like the walk: a
 * quote that a client opens and never closes must not swallow what the proxies have appended behind it.
 */
export function parseForwarded(header: string): Hop[] {
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

/** `192.0.2.1:80` and `[2001:db8::1]:_hidden` without port and brackets (the node of RFC 7239, section 6). */
function withoutPort(text: string): string {
  const address = text.trim();
  const bracketed = /^\[([^\]]*)\](?::(?:\d{1,5}|_[\w.-]+))?$/.exec(address)?.[1];
  if (bracketed !== undefined) return bracketed.includes(':') ? bracketed : '';
  return /^([^:]+):(?:\d{1,5}|_[\w.-]+)$/.exec(address)?.[1] ?? address;
}

function list(header: string | undefined): string[] {
  return header === undefined ? [] : header.split(',').map((each) => each.trim());
}

function one(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.join(', ');
}

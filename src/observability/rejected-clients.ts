/**
 * Keeps clients that are rejected again and again from filling the log. The first rejection of a client is logged in full,
 * with the lines of its request. While further ones follow, each second has one line with their number:
 *
 *     first rejection          logged in full
 *     each further one         counted in the metrics, without a line
 *     each second              `http.client.rejections` with the client, the kind of rejection and their number
 *     a second without one     the client is forgotten, so that its next rejection is logged in full
 *
 * So a flood from one address costs one line per second, whatever its rate. A flood from many addresses costs at most
 * `maxClients` lines per second; the rejections of all other clients are summed up in one line without an address.
 */

import type { ErrorCode } from '../errors.ts';
import type { EventName } from './events.ts';
import { quoteText } from './log/log-text.ts';
import type { Logger } from './logger.ts';
import { type Identified, idJson } from './request-context.ts';

/** A rejection of a client. */
export interface ClientRejection {
  readonly code: ErrorCode;
  /** The event that the first rejection is logged with, at level WARNING; the request log has the others. */
  readonly event?: EventName;
  /** Further fields as JSON text, `,"name":value` for each: the same ones for all rejections that count as one kind. */
  readonly json?: string;
}

/** A request that is rejected, such as the context of the HTTP layers. */
export interface RejectedRequest extends Identified {
  readonly clientAddress: string;
  /** The address at the other end of the connection: the client, or a proxy. */
  readonly peer: string;
  /** Whether the request log writes the lines of this request. */
  isLogged: boolean;
}

export interface RejectedClients {
  /** Logs a rejection, or only counts it and sets `isLogged` of the request to false. */
  report(request: RejectedRequest, rejection: ClientRejection): void;
  /** Returns whether a request over a connection of this peer has been rejected in the last second. */
  isFlooding(peer: string): boolean;
}

const everyMs = 1_000;
const maxClients = 100;

interface Flood {
  readonly code: ErrorCode;
  /** The client and the kind, as JSON text. */
  readonly fields: string;
  count: number;
}

export function createRejectedClients(log: Logger): RejectedClients {
  const floods = new Map<string, Flood>();
  const peers = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  function summarise(): void {
    for (const [key, { code, fields, count }] of floods) {
      if (count === 0) floods.delete(key);
      else log.line('WARNING', 'http.client.rejections', `${fields},"rejection":"${code}","count":${count}`);
    }
    for (const flood of floods.values()) flood.count = 0;
    peers.clear();
    if (floods.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  function add(key: string, code: ErrorCode, fields: string): Flood {
    const flood = { code, fields, count: 0 };
    floods.set(key, flood);
    timer ??= setInterval(summarise, everyMs).unref();
    return flood;
  }

  return {
    isFlooding: (peer) => peers.has(peer),
    report(request, { code, event, json = '' }) {
      const { clientAddress: client, peer } = request;
      if (peers.size < maxClients) peers.add(peer);
      const key = `${code} ${client} ${json}`;
      let flood = floods.get(key);
      if (flood === undefined) {
        if (floods.size < maxClients) {
          const { fields } = add(key, code, `,"client_address":${quoteText(client)}${json}`);
          if (event !== undefined) log.line('WARNING', event, `${fields}${idJson(request)}`);
          return;
        }
        flood = floods.get(code) ?? add(code, code, '');
      }
      flood.count += 1;
      if (event !== undefined) log.count(event);
      request.isLogged = false;
    },
  };
}

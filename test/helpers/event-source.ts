import { request } from 'node:http';
import { noteHeaders } from './secret-watch.ts';

/** An event as a client of server-sent events gets it (WHATWG HTML, section 9.2.6). */
export interface ReceivedEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** The events of a text; one that is not whole yet is left out. */
export function parseEvents(text: string): ReceivedEvent[] {
  const found: ReceivedEvent[] = [];
  let id = '';
  let event = 'message';
  let data: string[] = [];
  for (const line of text.split(/\r\n|\r|\n/).slice(0, -1)) {
    if (line === '') {
      if (data.length > 0) found.push({ id, event, data: data.join('\n') });
      event = 'message';
      data = [];
      continue;
    }
    const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === 'id') id = value;
    else if (field === 'event') event = value;
    else if (field === 'data') data.push(value);
  }
  return found;
}

/** One connection to a stream of events, or the refusal of it. */
export interface EventConnection {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** All that has come so far. */
  events(): ReceivedEvent[];
  /** The same as it came over the wire. */
  text(): string;
  /** Resolves when the server has ended it: false if it was cut. */
  readonly ended: Promise<boolean>;
  /** Stops reading for good, and leaves the connection open. */
  pause(): void;
  close(): void;
}

/** Connects on a connection of its own. Rejects if there is no answer. */
export function connectEvents(url: string, headers: Record<string, string> = {}): Promise<EventConnection> {
  noteHeaders(headers);
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        events: () => parseEvents(text),
        text: () => text,
        ended: new Promise((end) => {
          response.on('error', () => {});
          response.once('close', () => end(response.complete));
        }),
        pause: () => void response.pause(),
        close: () => void response.destroy(),
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}

/**
 * Follows a stream as an EventSource does, but for waiting: when it ends, it comes again with the id of the last event,
 * until the answer is another than 200. Resolves with all events and that status.
 */
export async function followEvents(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ readonly events: ReceivedEvent[]; readonly status: number; readonly connections: number }> {
  const events: ReceivedEvent[] = [];
  for (let connections = 1; ; connections += 1) {
    const last = events.at(-1);
    const connection = await connectEvents(url, {
      ...headers,
      ...(last !== undefined && { 'last-event-id': last.id }),
    });
    await connection.ended;
    if (connection.status !== 200) return { events, status: connection.status, connections };
    events.push(...connection.events());
  }
}

import { request } from 'node:http';
import { noteHeaders } from './secret-watch.ts';

/** An event as a client of server-sent events receives it (WHATWG HTML, section 9.2.6). */
export interface ReceivedEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** Returns the complete events in a text. */
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

/** One connection to a stream of events, or its rejection. */
export interface EventConnection {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** All events received so far. */
  events(): ReceivedEvent[];
  /** The text received so far. */
  text(): string;
  /** Resolves when the stream is closed: with true if the server closed it, with false if the connection was cut. */
  readonly ended: Promise<boolean>;
  /** Stops reading permanently, and leaves the connection open. */
  pause(): void;
  close(): void;
}

/** Connects on a new connection. Rejects without a response. */
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
 * Follows a stream like an EventSource, but without delays: when the stream is closed, it connects again with the id of the last
 * event, until the status is not 200. Resolves with all events and that status.
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

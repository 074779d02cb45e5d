import { noteBody, noteHeaders } from './secret-watch.ts';

/** A response with its body: as received, and parsed if it is JSON. */
export interface ClientResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Untyped: a test fails where the shape differs from its assertions. */
  readonly body: ReturnType<typeof JSON.parse>;
}

export interface ApiClient {
  get(path: string, headers?: Record<string, string>): Promise<ClientResponse>;
  /** Sends `body` as JSON; a string is sent unchanged. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<ClientResponse>;
  patch(path: string, body: unknown, headers?: Record<string, string>): Promise<ClientResponse>;
  delete(path: string, headers?: Record<string, string>): Promise<ClientResponse>;
  /** Returns a client that also sends these headers. Headers of a request take precedence. */
  withHeaders(headers: Readonly<Record<string, string>>): ApiClient;
}

/** Creates a client of the API at `base`. Paths are relative to it, as in `Location` and `Link`. */
export function createApiClient(base: string, always: Readonly<Record<string, string>> = {}): ApiClient {
  const send = async (method: string, path: string, own: Record<string, string>, body?: unknown) => {
    const headers = { ...always, ...own };
    noteHeaders(headers);
    noteBody(body);
    const response = await fetch(`${base}${path}`, {
      method,
      headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    noteHeaders(response.headers);
    noteBody(text);
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? JSON.parse(text) : undefined,
    };
  };
  return {
    get: (path, headers = {}) => send('GET', path, headers),
    post: (path, body, headers = {}) => send('POST', path, headers, body),
    patch: (path, body, headers = {}) => send('PATCH', path, headers, body),
    delete: (path, headers = {}) => send('DELETE', path, headers),
    withHeaders: (headers) => createApiClient(base, { ...always, ...headers }),
  };
}

/** Returns the targets of the `Link` header by their relation. */
export function linksOf({ headers }: ClientResponse): Record<string, string> {
  const links = (headers.get('link') ?? '').matchAll(/<([^>]*)>; rel="([^"]*)"/g);
  return Object.fromEntries(Array.from(links, ([, target = '', rel = '']) => [rel, target]));
}

/** Returns the fields that a problem names, as JSON Pointers. */
export function pointersOf({ body }: ClientResponse): string[] {
  const errors: { pointer: string }[] = body.errors ?? [];
  return errors.map(({ pointer }) => pointer);
}

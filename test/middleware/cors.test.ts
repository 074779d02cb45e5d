import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import theirCors from 'cors';
import { AppError } from '../../src/errors.ts';
import { compose } from '../../src/http/compose.ts';
import { type CorsOptions, cors } from '../../src/middleware/cors.ts';
import { makeContext } from '../helpers/context.ts';
import { mustStartServer } from '../helpers/http-server.ts';

const app = 'https://app.example.com';
const listed: CorsOptions = {
  origins: [app, 'https://admin.example.com'],
  credentials: true,
  methods: ['GET', 'POST'],
  allowedHeaders: ['Content-Type', 'Authorization'],
  exposedHeaders: ['ETag', 'Retry-After'],
  maxAgeSeconds: 600,
};
const anybody: CorsOptions = { ...listed, origins: ['*'], credentials: false };

type Headers = Record<string, string>;

/** Returns the headers that our layer sets, and whether the request continued. */
function ours(options: CorsOptions, method: string, headers: Headers) {
  const ctx = makeContext({ method, headers });
  let wentOn = false;
  compose([{ name: 'cors', run: cors(options) }], () => {
    wentOn = true;
    return undefined;
  })(ctx);
  return { headers: { ...ctx.headers }, wentOn, status: ctx.status };
}

describe('a page of a listed origin', () => {
  it('a page of a listed origin may read the response, with credentials if enabled', () => {
    assert.deepEqual(ours(listed, 'GET', { origin: app }), {
      wentOn: true,
      status: 404,
      headers: {
        vary: 'Origin',
        'access-control-allow-origin': app,
        'access-control-allow-credentials': 'true',
        'access-control-expose-headers': 'ETag, Retry-After',
        'cross-origin-resource-policy': 'cross-origin',
      },
    });
    assert.equal(
      ours({ ...listed, credentials: false }, 'GET', { origin: app }).headers[
        'access-control-allow-credentials'
      ],
      undefined,
    );
  });

  it('a preflight from a listed origin lists what the page may send, and is answered by the layer', () => {
    assert.deepEqual(ours(listed, 'OPTIONS', { origin: app, 'access-control-request-method': 'POST' }), {
      wentOn: false,
      status: 204,
      headers: {
        vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
        'access-control-allow-origin': app,
        'access-control-allow-credentials': 'true',
        'access-control-allow-methods': 'GET, POST',
        'access-control-allow-headers': 'Content-Type, Authorization',
        'access-control-max-age': '600',
        'cross-origin-resource-policy': 'cross-origin',
      },
    });
  });

  it('a page of a listed origin may read error responses as well', async (t) => {
    const reject = () =>
      assert.fail(new AppError('rate_limited', 'Wait.', { headers: { 'retry-after': '1' } }));
    const server = await mustStartServer(t, {
      layers: [
        { name: 'cors', run: cors(listed) },
        { name: 'rate-limit', run: reject },
      ],
      routes: [],
    });
    const { status, headers } = await server.request({ headers: { origin: app } });
    assert.deepEqual([status, headers['access-control-allow-origin'], headers.vary], [429, app, 'Origin']);
  });
});

describe('a page of any other origin', () => {
  const strangers = [
    'https://evil.example',
    'http://app.example.com',
    `${app}.evil.example`,
    `${app}:443`,
    `${app}/`,
    'null',
    'HTTPS://APP.EXAMPLE.COM',
    '',
  ];
  for (const origin of strangers) {
    it(`the unlisted origin "${origin}" is not allowed, and the response has Vary`, () => {
      const simple = ours(listed, 'GET', { origin });
      assert.deepEqual([simple.headers, simple.wentOn], [{ vary: 'Origin' }, true]);
      const { headers } = ours(listed, 'OPTIONS', { origin, 'access-control-request-method': 'POST' });
      assert.deepEqual(Object.keys(headers), ['vary']);
    });
  }
});

it('an OPTIONS request that is not a preflight continues to the routes', () => {
  assert.equal(ours(listed, 'OPTIONS', { origin: app }).wentOn, true);
  assert.equal(ours(listed, 'OPTIONS', { 'access-control-request-method': 'POST' }).wentOn, true);
});

it('with any origin allowed, the response is the same for all and has no Vary', () => {
  const { headers } = ours(anybody, 'GET', { origin: 'https://whoever.example' });
  assert.deepEqual([headers['access-control-allow-origin'], headers.vary], ['*', undefined]);
});

describe('comparison with the package cors and the same options', () => {
  /** Returns the headers that the package sets, in the same form. */
  function theirs(options: CorsOptions, method: string, headers: Headers) {
    const { request, response } = makeContext({ method, headers });
    let wentOn = false;
    theirCors({
      origin: options.origins.includes('*') ? '*' : [...options.origins],
      credentials: options.credentials,
      methods: [...options.methods],
      allowedHeaders: [...options.allowedHeaders],
      exposedHeaders: [...options.exposedHeaders],
      maxAge: options.maxAgeSeconds,
    })(request, response, () => {
      wentOn = true;
    });
    return { headers: response.getHeaders(), wentOn };
  }

  const compared = (headers: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(
      Object.entries(headers)
        .filter(([name]) => name === 'vary' || name.startsWith('access-control-'))
        .map(([name, value]) => [name, String(value).split(/, ?/)]),
    );

  const simple = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD'].map((method) => ({ method, extra: {} }));
  const preflights = ['POST', 'DELETE'].map((asked) => ({
    method: 'OPTIONS',
    extra: { 'access-control-request-method': asked, 'access-control-request-headers': 'content-type' },
  }));

  for (const [what, options] of [
    ['listed origins', listed],
    ['any origin', anybody],
    ['no credentials', { ...listed, credentials: false }],
  ] as const) {
    for (const origin of options === anybody ? [app, 'https://evil.example'] : options.origins) {
      for (const { method, extra } of [...simple, ...preflights]) {
        it(`${method} from ${origin} gets the same headers as from the package cors: ${what}`, () => {
          const headers = { origin, ...extra };
          const [our, their] = [ours(options, method, headers), theirs(options, method, headers)];
          const expected = compared(their.headers);
          if (method === 'OPTIONS') {
            // A preflight response needs no exposed headers: only the browser reads it.
            delete expected['access-control-expose-headers'];
            // Our Vary lists what the response depends on, so that no cache returns it to another preflight.
            expected.vary = [
              ...(expected.vary ?? []),
              'Access-Control-Request-Method',
              'Access-Control-Request-Headers',
            ];
          }
          assert.deepEqual(compared(our.headers), expected);
          assert.equal(our.wentOn, their.wentOn);
        });
      }
    }
  }

  for (const { method, extra } of [...simple, ...preflights]) {
    it(`${method} from an unlisted origin is not allowed by our layer or by the package cors`, () => {
      const headers = { origin: 'https://evil.example', ...extra };
      const [our, their] = [ours(listed, method, headers), theirs(listed, method, headers)];
      assert.equal(our.headers['access-control-allow-origin'], undefined);
      assert.equal(their.headers['access-control-allow-origin'], undefined);
      // The package still sends the other headers. Without an allowed origin they have no effect, and we omit them.
      assert.deepEqual(Object.keys(our.headers), ['vary']);
      assert.match(String(our.headers.vary), /^Origin/);
    });
  }
});

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

/** What our layer answers: its headers, and whether the request went on. */
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
  it('may read the answer, with credentials where that is on', () => {
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

  it('is told in its preflight what it may send, and the preflight ends there', () => {
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

  it('may read refusals and faults as well', async (t) => {
    const refuse = () =>
      assert.fail(new AppError('rate_limited', 'Wait.', { headers: { 'retry-after': '1' } }));
    const server = await mustStartServer(t, {
      layers: [
        { name: 'cors', run: cors(listed) },
        { name: 'rate-limit', run: refuse },
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
    it(`such as "${origin}" is allowed nothing, and caches are told that it differs`, () => {
      const simple = ours(listed, 'GET', { origin });
      assert.deepEqual([simple.headers, simple.wentOn], [{ vary: 'Origin' }, true]);
      const { headers } = ours(listed, 'OPTIONS', { origin, 'access-control-request-method': 'POST' });
      assert.deepEqual(Object.keys(headers), ['vary']);
    });
  }
});

it('OPTIONS that is no preflight goes on to the routes', () => {
  assert.equal(ours(listed, 'OPTIONS', { origin: app }).wentOn, true);
  assert.equal(ours(listed, 'OPTIONS', { 'access-control-request-method': 'POST' }).wentOn, true);
});

it('where any origin is allowed the answer is the same for all, and says nothing of Vary', () => {
  const { headers } = ours(anybody, 'GET', { origin: 'https://whoever.example' });
  assert.deepEqual([headers['access-control-allow-origin'], headers.vary], ['*', undefined]);
});

describe('beside the package cors with the same options', () => {
  /** What the package answers, in the same form. */
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
        it(`${what}: ${method} from ${origin} gets the same headers`, () => {
          const headers = { origin, ...extra };
          const [our, their] = [ours(options, method, headers), theirs(options, method, headers)];
          const expected = compared(their.headers);
          if (method === 'OPTIONS') {
            // A preflight's answer has no use for exposed headers: it is read by the browser alone.
            delete expected['access-control-expose-headers'];
            // We say what the answer depends on, so that no cache gives it to another preflight.
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
    it(`${method} from an origin that is not listed is allowed no origin by either`, () => {
      const headers = { origin: 'https://evil.example', ...extra };
      const [our, their] = [ours(listed, method, headers), theirs(listed, method, headers)];
      assert.equal(our.headers['access-control-allow-origin'], undefined);
      assert.equal(their.headers['access-control-allow-origin'], undefined);
      // The package sends the other headers all the same; without an allowed origin they mean nothing, and we send none.
      assert.deepEqual(Object.keys(our.headers), ['vary']);
      assert.match(String(our.headers.vary), /^Origin/);
    });
  }
});

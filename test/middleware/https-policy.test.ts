import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compose } from '../../src/http/compose.ts';
import { httpsPolicy } from '../../src/middleware/https-policy.ts';
import { makeContext, type TestContextOptions } from '../helpers/context.ts';
import { testRoute } from '../helpers/test-route.ts';

function run(options: TestContextOptions, scheme: 'http' | 'https') {
  const ctx = makeContext({ headers: { host: 'Example.org:80' }, ...options });
  ctx.scheme = scheme;
  compose(
    [{ name: 'https-policy', run: httpsPolicy({ apiKeyHeader: 'X-API-Key' }) }],
    (same) => void same.reply(200, 'went on'),
  )(ctx);
  return ctx;
}

describe('a request over plain HTTP', () => {
  const table: [target: string, location: string][] = [
    ['/a', 'https://example.org/a'],
    ['/a?b=%20c', 'https://example.org/a?b=%20c'],
    ['/%E2%82%AC', 'https://example.org/%E2%82%AC'],
    ['//evil.example/', 'https://example.org//evil.example/'],
    ['http://example.org/%E2%82%AC?q=1', 'https://example.org/%E2%82%AC?q=1'],
  ];
  for (const [target, location] of table) {
    it(`a request over plain HTTP for ${target} is redirected to ${location}`, () => {
      for (const method of ['GET', 'HEAD']) {
        const { status, headers } = run({ target, method }, 'http');
        assert.deepEqual([status, headers.location], [308, location]);
      }
    });
  }

  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    it(`${method} over plain HTTP is rejected, because its content has already crossed the network`, () => {
      assert.throws(() => run({ method }, 'http'), { code: 'https_required', layer: 'https-policy' });
    });
  }

  for (const [name, value] of [
    ['authorization', 'Bearer abc'],
    ['authorization', 'Basic abc'],
    ['authorization', ''],
    ['x-api-key', 'sk_abc'],
    ['cookie', 'theme=dark; __Host-refresh=srt_abc'],
  ] as const) {
    for (const method of ['GET', 'HEAD', 'POST', 'DELETE']) {
      it(`${method} over plain HTTP with ${name}: ${value} is rejected with the advice to replace the credentials`, () => {
        const headers = { host: 'example.org', [name]: value };
        assert.throws(() => run({ method, headers }, 'http'), {
          code: 'https_required',
          message: /credentials of this request have crossed the network unencrypted: replace them.*https:/,
        });
        assert.equal(run({ method, headers }, 'https').status, 200);
      });
    }
  }

  it('a request over plain HTTP with cookies of other services is redirected to HTTPS', () => {
    const headers = { host: 'example.org', cookie: 'theme=dark; _ga=1' };
    assert.equal(run({ headers }, 'http').status, 308);
  });

  it('a probe over plain HTTP passes, even with credentials', () => {
    assert.equal(
      run(
        {
          route: testRoute('GET', '/', () => 1, { limit: 'exempt' }),
          headers: { authorization: 'Bearer abc' },
        },
        'http',
      ).status,
      200,
    );
  });
});

it('a request over HTTPS continues', () => assert.equal(run({ method: 'POST' }, 'https').status, 200));

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
    it(`for ${target} is sent to ${location}`, () => {
      for (const method of ['GET', 'HEAD']) {
        const { status, headers } = run({ target, method }, 'http');
        assert.deepEqual([status, headers.location], [308, location]);
      }
    });
  }

  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    it(`with ${method} is refused, for what it carried has crossed the wire already`, () => {
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
      it(`with ${method} and ${name}: ${value} is refused, and its sender told to replace the credentials`, () => {
        const headers = { host: 'example.org', [name]: value };
        assert.throws(() => run({ method, headers }, 'http'), {
          code: 'https_required',
          message: /credentials of this request have crossed the network unencrypted: replace them.*https:/,
        });
        assert.equal(run({ method, headers }, 'https').status, 200);
      });
    }
  }

  it('with the cookies of others is sent to HTTPS', () => {
    const headers = { host: 'example.org', cookie: 'theme=dark; _ga=1' };
    assert.equal(run({ headers }, 'http').status, 308);
  });

  it('goes on to a probe, with credentials too', () => {
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

it('a request over HTTPS goes on', () => assert.equal(run({ method: 'POST' }, 'https').status, 200));

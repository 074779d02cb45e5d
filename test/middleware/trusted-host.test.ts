import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppError } from '../../src/errors.ts';
import { compose } from '../../src/http/compose.ts';
import { trustedHost } from '../../src/middleware/trusted-host.ts';
import { makeContext } from '../helpers/context.ts';
import { testRoute } from '../helpers/test-route.ts';

/** The code that a request with these hosts is refused with; undefined when it goes on. */
function refusalOf(
  allowed: string[],
  hosts: string[],
  { version = '1.1', target = '/' } = {},
): string | undefined {
  const ctx = makeContext({ target, ...(hosts[0] !== undefined && { headers: { host: hosts[0] } }) });
  ctx.request.rawHeaders = hosts.flatMap((host) => ['Host', host]);
  ctx.request.httpVersion = version;
  let wentOn = false;
  const layer = { name: 'trusted-host', run: trustedHost({ allowed }) };
  try {
    compose([layer], () => {
      wentOn = true;
      return undefined;
    })(ctx);
  } catch (error) {
    assert.ok(error instanceof AppError && !wentOn);
    return error.code;
  }
  assert.ok(wentOn);
  return undefined;
}

describe('where any host is served', () => {
  const table: [host: string, code: string | undefined][] = [
    ['example.org', undefined],
    ['EXAMPLE.org:8080', undefined],
    ['example.org.', undefined],
    ['a_b.example', undefined],
    ['xn--caf-dma.example', undefined],
    ['192.0.2.1:80', undefined],
    ['[::1]', undefined],
    ['[2001:db8::192.0.2.1]:443', undefined],
    ['example.org:', undefined],
    ['', undefined],
    ['a b', 'bad_host'],
    ['example.org:http', 'bad_host'],
    ['example.org:123456', 'bad_host'],
    ['example.org:80:80', 'bad_host'],
    ['user@example.org', 'bad_host'],
    ['example.org/path', 'bad_host'],
    ['example.org?x', 'bad_host'],
    ['example.org, other.example', 'bad_host'],
    ['[::1', 'bad_host'],
    ['[::g]', 'bad_host'],
    ['::1', 'bad_host'],
    ['café.example', 'bad_host'],
    ["example.org';--", 'bad_host'],
    ['x'.repeat(256), 'bad_host'],
  ];
  for (const [host, code] of table) {
    it(`"${host.slice(0, 40)}" is ${code ?? 'taken'}`, () => assert.equal(refusalOf(['*'], [host]), code));
  }

  it('a second Host is refused, even the same one', () => {
    assert.equal(refusalOf(['*'], ['a.example', 'b.example']), 'bad_host');
    assert.equal(refusalOf(['*'], ['a.example', 'a.example']), 'bad_host');
  });

  it('no Host is refused in HTTP/1.1 and taken in HTTP/1.0', () => {
    assert.equal(refusalOf(['*'], []), 'bad_host');
    assert.equal(refusalOf(['*'], [], { version: '1.0' }), undefined);
  });
});

describe('where some hosts are served', () => {
  const allowed = ['Example.org', '*.example.com', '::1'];
  const table: [host: string, code: string | undefined][] = [
    ['example.org', undefined],
    ['EXAMPLE.ORG:8080', undefined],
    ['[::1]:8080', undefined],
    ['a.example.com', undefined],
    ['a.b.example.com:1', undefined],
    ['example.com', 'misdirected_request'],
    ['.example.com', 'misdirected_request'],
    ['notexample.com', 'misdirected_request'],
    ['example.org.evil.example', 'misdirected_request'],
    ['evil-example.org', 'misdirected_request'],
    ['', 'bad_host'],
    ['example.org@evil.example', 'bad_host'],
  ];
  for (const [host, code] of table) {
    it(`"${host}" is ${code ?? 'taken'}`, () => assert.equal(refusalOf(allowed, [host]), code));
  }

  it('the host of an absolute-form target counts instead of the header', () => {
    assert.equal(
      refusalOf(allowed, ['example.org'], { target: 'http://evil.example/' }),
      'misdirected_request',
    );
    assert.equal(refusalOf(allowed, ['evil.example'], { target: 'http://example.org/' }), undefined);
  });

  it('a probe may name any host, but a well-formed one', () => {
    const run = trustedHost({ allowed });
    const route = testRoute('GET', '/', () => 1, { limit: 'exempt' });
    assert.equal(
      run(makeContext({ route, headers: { host: '10.0.0.7:8000' } }), () => undefined),
      undefined,
    );
    assert.throws(() => run(makeContext({ route, headers: { host: 'a b' } }), () => undefined), {
      code: 'bad_host',
    });
  });

  it('a host that was taken once is taken again, and one that was refused is refused again', () => {
    const run = trustedHost({ allowed });
    for (const host of ['example.org', 'evil.example', 'example.org', 'evil.example']) {
      const ctx = makeContext({ headers: { host } });
      const ask = () => run(ctx, () => undefined);
      if (host === 'example.org') assert.equal(ask(), undefined);
      else assert.throws(ask, { code: 'misdirected_request' });
    }
  });
});

it('what the server found wrong with a message is refused before anything looks at its host', () => {
  const ctx = makeContext();
  ctx.fault = new AppError('uri_too_long', 'Too long.');
  assert.throws(() => trustedHost({ allowed: ['*'] })(ctx, () => undefined), { code: 'uri_too_long' });
});

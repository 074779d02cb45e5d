import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppError } from '../../src/errors.ts';
import { compose } from '../../src/http/compose.ts';
import { messageErrors } from '../../src/middleware/message-errors.ts';
import { trustedHost } from '../../src/middleware/trusted-host.ts';
import { makeContext, type TestContextOptions } from '../helpers/context.ts';
import { testRoute } from '../helpers/test-route.ts';

/** Runs the layer and message-errors, which throws what it finds. Returns the code of the error, if there is one. */
function createCheck(allowed: string[]) {
  const run = compose(
    [
      { name: 'trusted-host', run: trustedHost({ allowed }) },
      { name: 'message-errors', run: messageErrors() },
    ],
    (same) => void same.reply(200, 'passed'),
  );
  return (host: string, options: TestContextOptions = {}): string | undefined => {
    const ctx = makeContext({ headers: { host }, ...options });
    try {
      run(ctx);
    } catch (error) {
      assert.ok(error instanceof AppError);
      return error.code;
    }
    assert.equal(ctx.status, 200);
    return undefined;
  };
}

it('with any host allowed, every host passes, and so does a missing one', () => {
  const check = createCheck(['*']);
  for (const host of ['example.org', '192.0.2.1:80', '[::1]', '']) assert.equal(check(host), undefined);
});

describe('a list of served hosts', () => {
  const allowed = ['example.org', '*.example.com', '::1', '2001:db8::5', '192.0.2.1'];
  const table: [host: string, code: string | undefined][] = [
    ['example.org', undefined],
    ['EXAMPLE.ORG:8080', undefined],
    ['example.org:', undefined],
    ['example.org.', undefined],
    ['Example.org.:8080', undefined],
    ['[::1]:8080', undefined],
    ['[0:0:0:0:0:0:0:1]', undefined],
    ['[2001:DB8:0::5]:443', undefined],
    ['192.0.2.1', undefined],
    ['[::ffff:192.0.2.1]', undefined],
    ['a.example.com', undefined],
    ['a.example.com.', undefined],
    ['a.b.example.com:1', undefined],
    ['example.com', 'misdirected_request'],
    ['example.com.', 'misdirected_request'],
    ['.example.com', 'misdirected_request'],
    ['example.org..', 'misdirected_request'],
    ['.', 'misdirected_request'],
    ['notexample.com', 'misdirected_request'],
    ['example.org.evil.example', 'misdirected_request'],
    ['evil-example.org', 'misdirected_request'],
    ['192.0.2.11', 'misdirected_request'],
    ['', 'bad_host'],
  ];
  const check = createCheck(allowed);
  for (const [host, code] of table) {
    it(`the host "${host}" is ${code ?? 'served'}, also the second time`, () => {
      assert.equal(check(host), code);
      assert.equal(check(host), code);
    });
  }

  it('the host of an absolute-form target has precedence over the header', () => {
    assert.equal(check('example.org', { target: 'http://evil.example/' }), 'misdirected_request');
    assert.equal(check('evil.example', { target: 'http://example.org/' }), undefined);
  });

  it('a probe may name any host', () => {
    const route = testRoute('GET', '/', () => 1, { limit: 'exempt' });
    assert.equal(check('10.0.0.7:8000', { route }), undefined);
  });
});

it('an error that the server found is thrown for any host', () => {
  const ctx = makeContext({ headers: { host: 'evil.example' } });
  ctx.messageError = new AppError('uri_too_long', 'Too long.');
  const end = () => assert.fail('went on');
  const run = compose([{ name: 'message-errors', run: messageErrors() }], end);
  assert.throws(() => trustedHost({ allowed: ['example.org'] })(ctx, run), { code: 'uri_too_long' });
});

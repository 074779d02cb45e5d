import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeContext } from '../helpers/context.ts';
import { testRoute } from '../helpers/test-route.ts';

describe('a context', () => {
  it('the host of a context is that of the Host header, in lower case', () => {
    assert.equal(makeContext({ headers: { host: 'Example.ORG:80' } }).host, 'example.org:80');
  });

  it('the host of an absolute-form target takes precedence over the Host header', () => {
    assert.equal(
      makeContext({ target: 'http://A.example/x', headers: { host: 'b.example' } }).host,
      'a.example',
    );
  });

  it('the host of a context is empty if the request names none', () => assert.equal(makeContext().host, ''));

  it('a request is a probe if its route is exempt from the limit', () => {
    assert.equal(makeContext({ route: testRoute('GET', '/', () => 1, { limit: 'exempt' }) }).isProbe, true);
    assert.equal(makeContext({ route: testRoute('GET', '/', () => 1) }).isProbe, false);
    assert.equal(makeContext().isProbe, false);
  });

  it('the signal has the reason of an abort, whether it is read before or after the abort', () => {
    const ctx = makeContext();
    const before = ctx.signal;
    assert.equal(ctx.aborted, false);
    ctx.abort(new Error('gone'));
    assert.equal(ctx.aborted, true);
    assert.equal(before, ctx.signal);
    assert.equal(before.reason.message, 'gone');

    const late = makeContext();
    late.abort(new Error('gone'));
    assert.equal(late.signal.aborted, true);
  });

  it('Vary contains each field name once, whatever its case', () => {
    const ctx = makeContext();
    for (const name of ['Origin', 'Accept-Encoding', 'origin', 'Accept', 'ACCEPT-ENCODING']) ctx.vary(name);
    assert.equal(ctx.headers.vary, 'Origin, Accept-Encoding, Accept');
  });

  it('a reply without a content type keeps that of an earlier reply', () => {
    const ctx = makeContext();
    ctx.reply(200, 'a', 'text/plain');
    ctx.reply(200, 'b');
    assert.equal(ctx.headers['content-type'], 'text/plain');
    ctx.reply(200, 'c', 'text/html');
    assert.equal(ctx.headers['content-type'], 'text/html');
  });
});

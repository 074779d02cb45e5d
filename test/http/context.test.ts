import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeContext } from '../helpers/context.ts';
import { testRoute } from '../helpers/test-route.ts';

describe('a context', () => {
  it('names the host of the Host header in lower case', () => {
    assert.equal(makeContext({ headers: { host: 'Example.ORG:80' } }).host, 'example.org:80');
  });

  it('names the host of an absolute-form target instead of the header', () => {
    assert.equal(
      makeContext({ target: 'http://A.example/x', headers: { host: 'b.example' } }).host,
      'a.example',
    );
  });

  it('has no host where the client named none', () => assert.equal(makeContext().host, ''));

  it('is a probe if its route is exempt from the limit', () => {
    assert.equal(makeContext({ route: testRoute('GET', '/', () => 1, { limit: 'exempt' }) }).isProbe, true);
    assert.equal(makeContext({ route: testRoute('GET', '/', () => 1) }).isProbe, false);
    assert.equal(makeContext().isProbe, false);
  });

  it('gives the reason of an abort to those who asked for the signal before and after it', () => {
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

  it('has each field name in Vary once, whatever its case', () => {
    const ctx = makeContext();
    for (const name of ['Origin', 'Accept-Encoding', 'origin', 'Accept', 'ACCEPT-ENCODING']) ctx.vary(name);
    assert.equal(ctx.headers.vary, 'Origin, Accept-Encoding, Accept');
  });

  it('keeps the content type of an earlier reply only if a later one gives none', () => {
    const ctx = makeContext();
    ctx.reply(200, 'a', 'text/plain');
    ctx.reply(200, 'b');
    assert.equal(ctx.headers['content-type'], 'text/plain');
    ctx.reply(200, 'c', 'text/html');
    assert.equal(ctx.headers['content-type'], 'text/html');
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { previewBody } from '../../../src/observability/log/body-preview.ts';

describe('previewBody', () => {
  const table: [body: string, type: string | undefined, preview: string][] = [
    ['{"name":"Ada","password":"abc"}', 'application/json', '{"name":"Ada","password":"***REDACTED***"}'],
    [
      '{"user":{"email":"ada@example.org","pin":1}}',
      'application/json',
      '{"user":{"email":"a***@example.org","pin":"***REDACTED***"}}',
    ],
    ['{"token":null}', 'application/merge-patch+json', '{"token":null}'],
    ['{"list":[{"token":{"a":"abc"}}]}', 'application/json', '{"list":[{"token":"***REDACTED***"}]}'],
    ['"abc"', 'application/json', '[5 bytes of JSON that is no object]'],
    ['["abc"]', 'application/json', '[7 bytes of JSON that is no object]'],
    ['null', 'application/json', '[4 bytes of JSON that is no object]'],
    [
      '{"password ":"abc","pwd":"abc","pass":"abc"}',
      'application/json',
      '{"password ":"***REDACTED***","pwd":"***REDACTED***","pass":"***REDACTED***"}',
    ],
    ['password[]=abc', 'application/x-www-form-urlencoded', 'password[]=***REDACTED***'],
    ['password%5B%5D=abc', 'application/x-www-form-urlencoded', 'password%5B%5D=***REDACTED***'],
    ['{"note":"\\"ada l\\"@example.org"}', 'application/json', '{"note":"\\"***@example.org"}'],
    ['{"ada@example.org":1}', 'application/json', '{"a***@example.org":1}'],
    ['{"password":"abc"', 'application/json', '[17 bytes of malformed JSON]'],
    ['name=Ada&password=abc', 'application/x-www-form-urlencoded', 'name=Ada&password=***REDACTED***'],
    [
      '{"username":"ada@example.org","note":"or grace@example.org"}',
      'application/json',
      '{"username":"a***@example.org","note":"or g***@example.org"}',
    ],
    [
      'username=ada%40example.org&also=grace@example.org',
      'application/x-www-form-urlencoded',
      'username=a***%40example.org&also=g***@example.org',
    ],
    ['password: abc', 'text/plain', '[13 bytes of text/plain]'],
    ['abc', undefined, '[3 bytes of no type]'],
  ];
  for (const [body, type, preview] of table) {
    it(`the preview of ${body} as ${type ?? 'no type'} is ${preview}`, () =>
      assert.equal(previewBody(Buffer.from(body), type), preview));
  }

  it('a body is masked before it is cut, so that no half of a secret remains', () => {
    const body = JSON.stringify({ filler: 'x'.repeat(230), password: 'abcdefghijklmnopqrstuvwxyz' });
    const preview = previewBody(Buffer.from(body), 'application/json');
    assert.match(preview, /^.{256}… \[\+\d+ characters\]$/);
    assert.ok(!preview.includes('abc'));
  });

  it('the preview of deeply nested JSON is a sentence', () => {
    const nested = Buffer.from(`${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`);
    assert.equal(previewBody(nested, 'application/json'), '[600001 bytes of malformed JSON]');
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maskPasswords, maskUrlPassword, quote } from '../../src/settings/quote.ts';

for (const [text, shown] of [
  ['plain', '"plain"'],
  ['two\nlines', '"two\\nlines"'],
  ['https://ada:hunter2@host/', '"https://***@host/"'],
  ['https://ada:hun/t@er2@host/', '"https://***@host/"'],
  ['ada:hunter2@host', '"***@host"'],
  ['["https://a:b@c","https://d:e@f"]', '"[\\"https://***@f\\"]"'],
  ['x'.repeat(101), `"${'x'.repeat(100)}…"`],
] as const) {
  test(`${JSON.stringify(text).slice(0, 40)} is shown as ${shown.slice(0, 40)}`, () =>
    assert.equal(quote(text), shown));
}

for (const [url, shown] of [
  ['embedded', 'embedded'],
  ['postgres://db/app', 'postgres://db/app'],
  ['postgres://ada@db/app', 'postgres://ada@db/app'],
  ['postgres://ada:hunter2@db/app', 'postgres://ada:***@db/app'],
  ['postgres://:hunter2@db/app', 'postgres://:***@db/app'],
  ['postgres://db/app?password=hunter2&sslmode=require', 'postgres://db/app?password=***&sslmode=require'],
] as const) {
  test(`the URL ${url} is shown as ${shown}`, () => assert.equal(maskUrlPassword(url), shown));
}

test('the password of a URL in the middle of a text is masked', () => {
  const policy = "default-src 'self'; report-uri https://ada:hunter2@reports.example/csp https://b.example";
  assert.equal(maskPasswords(policy), policy.replace('hunter2', '***'));
});

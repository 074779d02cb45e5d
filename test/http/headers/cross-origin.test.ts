import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppError } from '../../../src/errors.ts';
import { createCrossOriginCheck } from '../../../src/http/headers/cross-origin.ts';
import { makeContext } from '../../helpers/context.ts';

const host = 'api.example.com';
const own = `https://${host}`;
const friend = 'https://app.example.com';
const stranger = 'https://evil.example.net';

type Row = [what: string, site: string | undefined, origin: string | undefined, host?: string];

const taken: Row[] = [
  ['a program that is no browser', undefined, undefined],
  ['a page of this origin', 'same-origin', own],
  ['a page of this origin that sends no Origin', 'same-origin', undefined],
  ['a person who typed the address', 'none', undefined],
  ['a friend on the same site', 'same-site', friend],
  ['a friend on another site', 'cross-site', friend],
  ['a friend in a browser without Sec-Fetch-Site', undefined, friend],
  ['a page of this host in a browser without Sec-Fetch-Site', undefined, own],
  ['a page of this host behind a proxy that terminates TLS', undefined, `http://${host}`],
  ['a page of this host on its port', undefined, 'http://localhost:8000', 'localhost:8000'],
  ['a page of this host at an IPv6 address', undefined, 'http://[::1]:8000', '[::1]:8000'],
];

const refused: Row[] = [
  ['a page of another site', 'cross-site', stranger],
  ['a page of another site that hides its origin', 'cross-site', 'null'],
  ['a page of another site that sends no Origin', 'cross-site', undefined],
  ['a neighbour on the same site', 'same-site', 'https://blog.example.com'],
  ['another site, whatever origin it claims to be', 'cross-site', own],
  ['a word that no browser sends', 'same-origin, cross-site', own],
  ['an empty word', '', own],
  ['a word in another case', 'Same-Origin', stranger],
  ['a page of another site in a browser without Sec-Fetch-Site', undefined, stranger],
  ['a sandboxed page in a browser without Sec-Fetch-Site', undefined, 'null'],
  ['another port of this host', undefined, `${own}:8443`],
  ['a host that only begins like this one', undefined, `${own}.evil.example.net`],
  ['this host as a user name', undefined, `https://${host}@evil.example.net`],
  ['what is no origin', undefined, host],
  ['a file, to a server that was named no host', undefined, 'file:///tmp/page.html', ''],
  ['a friend with something behind', 'cross-site', `${friend}.evil.example.net`],
];

const check = createCrossOriginCheck([friend, '*']);

function run([, site, origin, named = host]: Row): void {
  const headers = {
    host: named,
    ...(site !== undefined && { 'sec-fetch-site': site }),
    ...(origin !== undefined && { origin }),
  };
  check(makeContext({ method: 'POST', headers }));
}

describe('a request that acts on a cookie', () => {
  for (const row of taken) it(`is taken from ${row[0]}`, () => run(row));

  for (const row of refused) {
    it(`a cookie request is rejected from ${row[0]}`, () => {
      assert.throws(
        () => run(row),
        (error) => error instanceof AppError && error.code === 'cross_origin_refused',
      );
    });
  }

  it('the wildcard of CORS does not make every origin trusted', () => {
    const open = createCrossOriginCheck(['*']);
    const headers = { host, 'sec-fetch-site': 'cross-site', origin: '*' };
    assert.throws(() => open(makeContext({ headers })), AppError);
  });
});

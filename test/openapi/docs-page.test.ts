import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { compression } from '../../src/middleware/content/compression.ts';
import { etag } from '../../src/middleware/content/etag.ts';
import { securityHeaders } from '../../src/middleware/security-headers.ts';
import { createDocsRoutes, type DocsOptions } from '../../src/openapi/docs-page.ts';
import { createOpenApiDocument } from '../../src/openapi/document.ts';
import { mustStartServer } from '../helpers/http-server.ts';

const layers = [
  {
    name: 'security-headers',
    run: securityHeaders({ hsts: false, hstsPreload: false, contentSecurityPolicy: undefined, server: '' }),
  },
  { name: 'compression', run: compression({ minBytes: 1000 }) },
  { name: 'etag', run: etag() },
];

function document() {
  const info = { title: 'Things', description: 'All about things.', version: '1.2.3' };
  const security = { tokenUrl: '/login', refreshUrl: '/refresh', apiKeyHeader: 'X-Key', scopes: {} };
  return createOpenApiDocument({ routes: [], info, environment: 'local', tags: [], security });
}

function startDocs(t: TestContext, options: Partial<DocsOptions> = {}) {
  const routes = createDocsRoutes({
    document: async () => document(),
    openapiUrl: '/openapi.json',
    docsUrl: '/docs',
    redocUrl: '/redoc',
    projectName: 'Things',
    ...options,
  });
  return mustStartServer(t, { routes, layers });
}

/** The addresses that the page loads scripts, styles and pictures from. */
function addressesIn(html: string): string[] {
  return [...html.matchAll(/(?:src|<link [^>]*href)="([^"]*)"/g)].map(([, address = '']) => address);
}

test('the document is JSON, and a client that already has it gets 304', async (t) => {
  const { url } = await startDocs(t);
  const first = await fetch(`${url}/openapi.json`);
  assert.equal(first.status, 200);
  assert.equal(first.headers.get('content-type'), 'application/json');
  assert.equal(first.headers.get('cache-control'), 'public, no-cache');
  assert.deepEqual(await first.json(), document());

  const again = await fetch(`${url}/openapi.json`, {
    headers: { 'if-none-match': first.headers.get('etag') ?? '' },
  });
  assert.equal(again.status, 304);
  assert.equal(await again.text(), '');
});

test('the document is generated once, for the first request', async (t) => {
  let made = 0;
  const counted = () => {
    made += 1;
    return document();
  };
  const { url } = await startDocs(t, { document: async () => counted() });
  assert.equal(made, 0);
  await (await fetch(`${url}/openapi.json`)).text();
  await (await fetch(`${url}/openapi.json`)).text();
  assert.equal(made, 1);
});

test('the policy of the page forbids inline code, eval, other origins and framing', async (t) => {
  const { url } = await startDocs(t);
  const page = await fetch(`${url}/docs`);
  const policy = page.headers.get('content-security-policy') ?? '';
  assert.match(policy, /^default-src 'none';/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.match(policy, /base-uri 'none'/);
  assert.match(policy, /form-action 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(page.headers.get('x-frame-options'), 'DENY');
  assert.ok(page.headers.get('referrer-policy'));

  const html = await page.text();
  assert.doesNotMatch(html, /<script[^>]*>[^<]/, 'the page has an inline script');
  assert.doesNotMatch(html, /<style|style=|\son[a-z]+=/, 'the page has an inline style or handler');
  for (const address of addressesIn(html)) assert.match(address, /^\/docs\/assets\//);
});

test('every file that the page loads exists, has the right type and is immutable for caches', async (t) => {
  const { url } = await startDocs(t);
  const addresses = addressesIn(await (await fetch(`${url}/docs`)).text());
  assert.equal(addresses.length, 5);
  for (const address of addresses) {
    const asset = await fetch(url + address);
    const type = address.includes('.js')
      ? 'text/javascript'
      : address.includes('.css')
        ? 'text/css'
        : 'image/png';
    assert.equal(asset.status, 200, address);
    assert.equal(asset.headers.get('content-type')?.split(';')[0], type);
    assert.equal(asset.headers.get('cache-control'), 'public, max-age=31536000, immutable');
    assert.ok((await asset.arrayBuffer()).byteLength > 0);

    const again = await fetch(url + address, {
      headers: { 'if-none-match': asset.headers.get('etag') ?? '' },
    });
    assert.equal(again.status, 304, address);
  }
});

test('HEAD returns the headers of GET for each page, without a body', async (t) => {
  const { url } = await startDocs(t);
  for (const path of ['/openapi.json', '/docs', '/docs/assets/swagger-ui.css']) {
    const headers = { 'accept-encoding': 'identity' };
    const get = await fetch(url + path, { headers });
    const head = await fetch(url + path, { method: 'HEAD', headers });
    await get.text();
    assert.equal(head.status, 200);
    assert.equal(await head.text(), '');
    for (const name of ['content-type', 'content-length', 'etag', 'content-security-policy']) {
      assert.equal(head.headers.get(name), get.headers.get(name), `${name} of ${path}`);
    }
  }
});

for (const [path, status] of [
  ['/docs/assets/../../package.json', 404],
  ['/docs/assets/..', 404],
  ['/docs/assets/%2e%2e/%2e%2e/package.json', 404],
  ['/docs/assets/..%2f..%2fpackage.json', 400],
  ['/docs/assets/..%5c..%5cpackage.json', 400],
  ['/docs/assets/....//package.json', 404],
  ['/docs/assets//etc/passwd', 404],
  ['/docs/assets/swagger-ui.css%00.png', 400],
  ['/docs/assets/package.json', 404],
  ['/docs/assets/swagger-ui-bundle.js.map', 404],
  ['/docs/assets/index.html', 404],
  ['/docs/assets/__proto__', 404],
  ['/docs/assets/constructor', 404],
  ['/docs/assets/', 404],
] as const) {
  test(`GET ${path} does not escape from the folder of the assets: ${status}`, async (t) => {
    const { raw } = await startDocs(t);
    const response = await raw(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    assert.match(response, new RegExp(`^HTTP/1.1 ${status} `));
    assert.match(response, /content-type: application\/problem\+json/i);
    assert.doesNotMatch(response, /"name": ?"(?:strata|swagger-ui-dist)"/);
  });
}

test('the address of ReDoc redirects to the page', async (t) => {
  const { url } = await startDocs(t);
  const response = await fetch(`${url}/redoc`, { redirect: 'manual' });
  assert.equal(response.status, 307);
  assert.equal(response.headers.get('location'), '/docs');
});

test('a page without an address is not served', async (t) => {
  const { url } = await startDocs(t, { docsUrl: null });
  assert.equal((await fetch(`${url}/openapi.json`)).status, 200);
  assert.equal((await fetch(`${url}/docs`)).status, 404);
  assert.equal((await fetch(`${url}/redoc`)).status, 404);
  assert.equal((await fetch(`${url}/docs/assets/docs.css`)).status, 404);
  const addresses = {
    document: async () => document(),
    docsUrl: '/docs',
    redocUrl: '/redoc',
    projectName: 'Things',
  };
  assert.deepEqual(createDocsRoutes({ ...addresses, openapiUrl: null }), []);
});

test('the documentation pages are not in the document', () => {
  const routes = createDocsRoutes({
    document: async () => document(),
    openapiUrl: '/openapi.json',
    docsUrl: '/docs',
    redocUrl: '/redoc',
    projectName: 'Things',
  });
  assert.equal(routes.length, 4);
  for (const { path, hidden } of routes) assert.equal(hidden, true, path);
});

test('without the package the page explains how to install it, and the document is served', async (t) => {
  const { url } = await startDocs(t, {
    swaggerUi: { needs: 'needs the package x: run `npm install x`' },
    projectName: 'Things & <more>',
  });
  const page = await fetch(`${url}/docs`);
  assert.equal(page.status, 200);
  const html = await page.text();
  assert.match(html, /needs the package x: run <code>npm install x<\/code> and start the server again/);
  assert.match(html, /<title>Things &amp; &lt;more&gt;<\/title>/);
  for (const address of addressesIn(html)) {
    const asset = await fetch(url + address);
    assert.equal(asset.status, 200, address);
    await asset.arrayBuffer();
  }
  assert.equal((await fetch(`${url}/openapi.json`)).status, 200);
});

/**
 * The pages that show the API: the OpenAPI document, and Swagger UI for people. Everything comes from this server,
 * so the pages work without a network and under a policy that allows no other origin and nothing inline.
 *
 * Swagger UI is the optional package `swagger-ui-dist`. Where it is not installed the server starts all the same:
 * the document is served, and the page says in a sentence how to get the rest.
 */

import * as z from 'zod';
import { AppError } from '../errors.ts';
import { raw, redirect } from '../http/reply.ts';
import { type Route, route } from '../http/route.ts';
import type { RouteLimit } from '../http/route-declaration.ts';
import type { OpenApiDocument } from './document.ts';
import { type Asset, findSwaggerUi, readAssets } from './swagger-ui.ts';

export interface DocsOptions {
  /** Makes the document. Called once, when a client asks for it first; should not block the event loop for long. */
  readonly document: () => Promise<OpenApiDocument>;
  /** Path of the document; null serves none, and no page either. */
  readonly openapiUrl: string | null;
  /** Path of the page; null serves none. */
  readonly docsUrl: string | null;
  /** Path that sends readers to the page, for those who look for ReDoc there; null serves none. */
  readonly redocUrl: string | null;
  readonly projectName: string;
  /** The folder of `swagger-ui-dist`; null stands for a package that is not installed. By default it is looked for. */
  readonly swaggerUiFolder?: string | null;
}

/**
 * What the page may load: scripts, styles and its document from this server, and the small pictures that Swagger UI
 * has in its stylesheet as `data:`. No `unsafe-inline` and no `unsafe-eval`: its inline styles are set by script
 * through the CSSOM, which the policy does not govern.
 */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** A file's address carries its content's tag, so a browser may keep it for good. */
const assetCache = 'public, max-age=31536000, immutable';

/** The routes of the pages. None of them is in the document. Throws what reading an installed package throws. */
export function createDocsRoutes(options: DocsOptions): Route[] {
  const { document, openapiUrl, docsUrl, redocUrl } = options;
  if (openapiUrl === null) return [];
  const routes = [documentRoute(openapiUrl, document)];
  if (docsUrl === null) return routes;

  const folder = options.swaggerUiFolder === undefined ? findSwaggerUi() : options.swaggerUiFolder;
  const assets = readAssets(folder);
  const page = folder === null ? renderNotice : renderPage;
  const html = page({
    title: options.projectName,
    openapiUrl,
    link: (name) => assetLink(docsUrl, name, assets),
  });
  routes.push(pageRoute(docsUrl, html), assetRoute(docsUrl, assets));
  if (redocUrl !== null) routes.push(redocRoute(redocUrl, docsUrl));
  return routes;
}

/** One page with its files and the document is seven requests. */
const docsLimits: readonly RouteLimit[] = [{ name: 'api-docs', by: 'address', quota: 140, windowMs: 60_000 }];

const docsRoute = { method: 'GET', tags: ['docs'], auth: 'none', hidden: true } as const;
const largeRoute = { ...docsRoute, costs: ['large-response'], limits: docsLimits } as const;

function documentRoute(path: string, document: () => Promise<OpenApiDocument>): Route {
  let text: Promise<string> | undefined;
  return route({
    ...largeRoute,
    path,
    operationId: 'getOpenApiDocument',
    summary: 'The OpenAPI document',
    cache: 'no-cache',
    etag: true,
    responses: { 200: { description: 'The document.', contentType: 'application/json' } },
    async handler() {
      text ??= document().then((described) => JSON.stringify(described));
      return raw(await text, 'application/json');
    },
  });
}

function pageRoute(path: string, html: string): Route {
  return route({
    ...docsRoute,
    path,
    operationId: 'getDocsPage',
    summary: 'The page that shows the API',
    cache: 'no-cache',
    etag: true,
    responses: { 200: { description: 'The page.', contentType: 'text/html' } },
    handler: () => raw(html, 'text/html; charset=utf-8', { 'content-security-policy': pagePolicy }),
  });
}

function assetRoute(docsUrl: string, assets: ReadonlyMap<string, Asset>): Route {
  return route({
    ...largeRoute,
    path: `${docsUrl}/assets/*name`,
    operationId: 'getDocsAsset',
    summary: 'A file of the docs page',
    params: z.object({ name: z.string() }),
    cache: assetCache,
    responses: { 200: { description: 'The file.', contentType: 'application/octet-stream' } },
    problems: ['not_found'],
    handler({ params }) {
      // A name is looked up and never made a path, so there is nothing to climb out of.
      const asset = assets.get(params.name);
      if (asset === undefined) throw new AppError('not_found', 'The docs page has no such file.');
      return raw(asset.bytes, asset.contentType, { etag: asset.etag });
    },
  });
}

function redocRoute(path: string, docsUrl: string): Route {
  return route({
    ...docsRoute,
    path,
    operationId: 'getRedoc',
    summary: 'Leads to the docs page',
    // 307 and not 308: a second view may come to live here one day, and browsers never forget a 308.
    responses: { 307: { description: 'The docs page.' } },
    handler: () => redirect(307, docsUrl),
  });
}

interface PageParts {
  readonly title: string;
  readonly openapiUrl: string;
  /** The address of a file of the page. */
  link(name: string): string;
}

function renderPage({ title, openapiUrl, link }: PageParts): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="icon" type="image/png" href="${link('favicon-32x32.png')}">
<link rel="stylesheet" href="${link('swagger-ui.css')}">
<link rel="stylesheet" href="${link('docs.css')}">
<script src="${link('swagger-ui-bundle.js')}" defer></script>
<script src="${link('docs.js')}" defer></script>
</head>
<body>
<div id="swagger-ui" data-document="${escapeHtml(openapiUrl)}"></div>
<noscript><p class="notice">This page needs JavaScript; the document behind it is <a href="${escapeHtml(openapiUrl)}">${escapeHtml(openapiUrl)}</a>.</p></noscript>
</body>
</html>
`;
}

function renderNotice({ title, openapiUrl, link }: PageParts): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="${link('docs.css')}">
</head>
<body class="notice">
<h1>${escapeHtml(title)}</h1>
<p>The page that shows this API needs the optional package <code>swagger-ui-dist</code>, which is not installed. Run
<code>npm install --include=optional</code> and start the server again.</p>
<p>The OpenAPI document is served without it: <a href="${escapeHtml(openapiUrl)}">${escapeHtml(openapiUrl)}</a>.</p>
</body>
</html>
`;
}

function assetLink(docsUrl: string, name: string, assets: ReadonlyMap<string, Asset>): string {
  const version = assets.get(name)?.etag.replaceAll('"', '') ?? '';
  return escapeHtml(`${docsUrl}/assets/${name}?v=${version}`);
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

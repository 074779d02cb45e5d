/**
 * The routes of the API documentation: the OpenAPI document, and a page with Swagger UI. All files come from this server, so the
 * page works offline and under a policy that allows no other origin and no inline code.
 *
 * Swagger UI is the optional package `swagger-ui-dist`. Without it the server serves the document, and the page explains how to
 * install the package.
 */

import * as z from 'zod';
import { AppError } from '../errors.ts';
import { raw, redirect } from '../http/reply.ts';
import { type Route, route } from '../http/route.ts';
import type { RouteLimit } from '../http/route-declaration.ts';
import type { OpenApiDocument } from './document.ts';
import { type Asset, findSwaggerUi, readAssets, type SwaggerUi } from './swagger-ui.ts';

export interface DocsOptions {
  /** Generates the document. Called once, for the first request; must not block the event loop for long. */
  readonly document: () => Promise<OpenApiDocument>;
  /** The path of the document; null serves neither the document nor the page. */
  readonly openapiUrl: string | null;
  /** The path of the page; null serves no page. */
  readonly docsUrl: string | null;
  /** The path where readers may expect ReDoc: it redirects to the page; null for no redirect. */
  readonly redocUrl: string | null;
  readonly projectName: string;
  /** By default the package is looked up. */
  readonly swaggerUi?: SwaggerUi;
}

/**
 * The page may load scripts, styles and the document from this server, and the small `data:` images in the stylesheet of Swagger
 * UI. `unsafe-inline` and `unsafe-eval` are not needed: Swagger UI sets inline styles through the CSSOM, which the policy does
 * not restrict.
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

/** The URL of a file contains the tag of its content, so caches may keep it forever. */
const assetCache = { scope: 'public', maxAge: 31_536_000, immutable: true } as const;

/** Creates the routes, which are not in the document. Throws if an installed package cannot be read. */
export function createDocsRoutes(options: DocsOptions): Route[] {
  const { document, openapiUrl, docsUrl, redocUrl } = options;
  if (openapiUrl === null) return [];
  const routes = [documentRoute(openapiUrl, document)];
  if (docsUrl === null) return routes;

  const swaggerUi = options.swaggerUi ?? findSwaggerUi();
  const assets = readAssets(swaggerUi.folder);
  const parts: PageParts = {
    title: options.projectName,
    openapiUrl,
    link: (name) => assetLink(docsUrl, name, assets),
  };
  const html = swaggerUi.folder === undefined ? renderNotice(parts, swaggerUi.needs) : renderPage(parts);
  routes.push(pageRoute(docsUrl, html), assetRoute(docsUrl, assets));
  if (redocUrl !== null) routes.push(redocRoute(redocUrl, docsUrl));
  return routes;
}

/** Loading the page once takes seven requests. */
const docsLimits: readonly RouteLimit[] = [{ name: 'api-docs', by: 'address', quota: 140, windowMs: 60_000 }];

const docsRoute = { method: 'GET', tags: ['docs'], auth: 'none', hidden: true } as const;
const largeRoute = { ...docsRoute, costs: ['large-response'], limits: docsLimits } as const;

function documentRoute(path: string, document: () => Promise<OpenApiDocument>): Route {
  // As bytes, which all connections share: a text would be copied for each response that is being sent.
  let bytes: Promise<Buffer> | undefined;
  return route({
    ...largeRoute,
    path,
    operationId: 'getOpenApiDocument',
    summary: 'The OpenAPI document',
    cache: { scope: 'public', maxAge: 0 },
    etag: true,
    responses: { 200: { description: 'The document.', contentType: 'application/json' } },
    async handler() {
      bytes ??= document().then((described) => Buffer.from(JSON.stringify(described)));
      return raw(await bytes, 'application/json');
    },
  });
}

function pageRoute(path: string, html: string): Route {
  return route({
    ...docsRoute,
    path,
    operationId: 'getDocsPage',
    summary: 'The page that shows the API',
    cache: { scope: 'public', maxAge: 0 },
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
      // The name is a key and never part of a path, so it cannot escape from the folder.
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
    summary: 'Redirects to the docs page',
    // Not 308, which browsers cache permanently: another view may use this path later.
    responses: { 307: { description: 'The docs page.' } },
    handler: () => redirect(307, docsUrl),
  });
}

interface PageParts {
  readonly title: string;
  readonly openapiUrl: string;
  /** Returns the URL of a file of the page. */
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

function renderNotice({ title, openapiUrl, link }: PageParts, needs: string): string {
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
<p>The page that shows this API ${escapeHtml(needs).replace(/`(.*?)`/g, '<code>$1</code>')} and start the server again.</p>
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

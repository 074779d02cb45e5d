/**
 * The pages of the jobs dashboard: HTML, styles and scripts from the folder `dashboard`, without a build step or external
 * resources. The pages contain no data, so every client that reaches the port may load them. They request their data from
 * the routes below `/jobs/data`, which check access.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import * as z from 'zod';
import { AppError } from '../../errors.ts';
import { idParameter } from '../../http/parameters/parameters.ts';
import { raw } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import { projectRoot } from '../../project-root.ts';

const folder = join(projectRoot, 'dashboard');

const contentTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/**
 * Allows a page only its own files and data of this server. It forbids inline scripts and parsing text as markup (Trusted
 * Types), since the contents of a job may be hostile.
 */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** The headers of every page of the management port. */
export const htmlHeaders = {
  'content-security-policy': pagePolicy,
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

interface Asset {
  readonly text: string;
  readonly contentType: string;
}

/** Returns the routes of the pages and their files. Throws if the folder cannot be read. */
export function jobsPageRoutes(): Route[] {
  const assets = readAssets();
  const page = (name: string) => {
    const { text, contentType } = assetOf(assets, name);
    return raw(text, contentType, htmlHeaders);
  };
  const shown = { method: 'GET', tags: ['management'], auth: 'none', hidden: true } as const;
  const html = { 200: { description: 'The page.', contentType: 'text/html' } };
  return [
    route({
      ...shown,
      path: '/jobs',
      operationId: 'getJobsPage',
      summary: 'The page of all jobs',
      responses: html,
      handler: () => page('jobs.html'),
    }),
    route({
      ...shown,
      path: '/jobs/:id',
      operationId: 'getJobPage',
      summary: 'The page of one job',
      params: z.object({ id: idParameter }),
      responses: html,
      handler: () => page('job.html'),
    }),
    route({
      ...shown,
      path: '/jobs/assets/:name',
      operationId: 'getJobsAsset',
      summary: 'A file of the pages',
      params: z.object({ name: z.string() }),
      responses: { 200: { description: 'The file.', contentType: 'application/octet-stream' } },
      problems: ['not_found'],
      handler({ params }) {
        const { text, contentType } = assetOf(assets, params.name);
        return raw(text, contentType, { 'cross-origin-resource-policy': 'same-origin' });
      },
    }),
  ];
}

function readAssets(): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  for (const name of readdirSync(folder)) {
    const contentType = contentTypes[extname(name)];
    if (contentType === undefined) continue;
    assets.set(name, { text: readFileSync(join(folder, name), 'utf8'), contentType });
  }
  return assets;
}

/** The name is a key and never part of a path, so path traversal is impossible. */
function assetOf(assets: ReadonlyMap<string, Asset>, name: string): Asset {
  const asset = assets.get(name);
  if (asset === undefined) throw new AppError('not_found', 'The jobs dashboard has no such file.');
  return asset;
}

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { needsPackage } from '../errors.ts';
import { docsScript } from './docs-script.ts';
import { docsStyle } from './docs-style.ts';

/** A file of the docs page. */
export interface Asset {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  /** An entity tag computed from its content. */
  readonly etag: string;
}

/** The files of the package that the page needs. No other file is served. */
const packageFiles: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

/** The folder of the optional package `swagger-ui-dist`, or what to do if it is not installed. */
export type SwaggerUi = { readonly folder: string } | { readonly folder?: never; readonly needs: string };

/** Throws if the package is installed and cannot be read. */
export function findSwaggerUi(): SwaggerUi {
  try {
    return { folder: dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json')) };
  } catch (error) {
    return { needs: needsPackage('swagger-ui-dist', error) };
  }
}

/** Reads the files of the page, by name. Without a folder there is only our own stylesheet. */
export function readAssets(folder: string | undefined): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  assets.set('docs.css', toAsset(Buffer.from(docsStyle), 'text/css; charset=utf-8'));
  if (folder === undefined) return assets;
  assets.set('docs.js', toAsset(Buffer.from(docsScript), 'text/javascript; charset=utf-8'));
  for (const [name, contentType] of Object.entries(packageFiles)) {
    assets.set(name, toAsset(readFileSync(join(folder, name)), contentType));
  }
  return assets;
}

function toAsset(bytes: Uint8Array, contentType: string): Asset {
  return {
    bytes,
    contentType,
    etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`,
  };
}

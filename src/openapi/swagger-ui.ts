import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { needsPackage } from '../errors.ts';
import { docsScript } from './docs-script.ts';
import { docsStyle } from './docs-style.ts';

/** A file that the docs page loads. */
export interface Asset {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  /** The value of the ETag header: a digest of the content. */
  readonly etag: string;
}

/** The files of the package that the docs page loads, with their types. No other file of the package is served. */
const packageFiles: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

/** The folder of the optional package `swagger-ui-dist`, or what to do if it is not installed. */
export type SwaggerUi = { readonly folder: string } | { readonly folder?: never; readonly needs: string };

/** Finds the package. Throws the error of the module loader if the package is installed but cannot be resolved. */
export function findSwaggerUi(): SwaggerUi {
  try {
    return { folder: dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json')) };
  } catch (error) {
    return { needs: needsPackage('swagger-ui-dist', error) };
  }
}

/** Reads the files of the page and returns them by name. Without a folder, only our own stylesheet is returned. */
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

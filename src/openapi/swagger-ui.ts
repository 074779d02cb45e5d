import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A file of the docs page, ready to be sent. */
export interface Asset {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  /** The entity tag of its content. */
  readonly etag: string;
}

/** The files of the package that the page needs; it ships many more, which nobody gets. */
const packageFiles: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

/** Starts Swagger UI. It stands in a file because the page's policy allows no script inside the page. */
const initializer = `const root = document.getElementById('swagger-ui');
SwaggerUIBundle({
  url: root.dataset.document,
  domNode: root,
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
`;

const stylesheet = `html { overflow-y: scroll; }
body { margin: 0; background: #fafafa; }
.notice { max-width: 40rem; margin: 4rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; }
`;

/** Where the optional package `swagger-ui-dist` is installed; null where it is not. */
export function findSwaggerUi(): string | null {
  try {
    return dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  } catch {
    return null;
  }
}

/** Reads the page's files, by name. Without a folder there are only our own. */
export function readAssets(folder: string | null): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  assets.set('docs.css', toAsset(Buffer.from(stylesheet), 'text/css; charset=utf-8'));
  if (folder === null) return assets;
  assets.set('docs.js', toAsset(Buffer.from(initializer), 'text/javascript; charset=utf-8'));
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

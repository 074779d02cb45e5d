/**
 * `npm run openapi`: prints the OpenAPI document of the server that the same environment would start, even if that server
 * would not publish it. Opens no database and no socket. If settings are invalid, it prints all errors on standard
 * error and exits with code 1.
 */

import { StartError } from '../errors.ts';
import { createRoutes, describeRoutes } from '../routes.ts';
import { loadSettings } from '../settings/load.ts';
import { unusedParts } from './unused-parts.ts';

try {
  const { settings } = loadSettings();
  const document = describeRoutes(settings, createRoutes(unusedParts(settings)));
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
} catch (error) {
  if (!(error instanceof StartError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

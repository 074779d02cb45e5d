/**
 * `npm run openapi`: prints the OpenAPI document of the server that the same environment would start, whether or not
 * that server would publish it. Opens no database and no socket. Ends with code 1 and every fault on standard error
 * if the settings are wrong.
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

/**
 * Prints the optional packages that an image does not need, one per line, for `npm uninstall` in the Dockerfile:
 *
 *     node optional-packages.mjs mail uploads redis      all optional packages of package.json but those of these parts
 *
 * A package that belongs to no part here is one of a feature, and is kept.
 */

import { readFileSync } from 'node:fs';

const parts = {
  mail: ['nodemailer'],
  uploads: ['@fastify/busboy'],
  redis: ['@redis/client'],
  geoip: ['maxmind'],
  docs: ['swagger-ui-dist'],
};

const chosen = process.argv
  .slice(2)
  .flatMap((argument) => argument.split(/[\s,]+/))
  .filter((part) => part !== '');
const unknown = chosen.filter((part) => !Object.hasOwn(parts, part));
if (unknown.length > 0) {
  console.error(`There is no part ${unknown.join(', ')}: choose from ${Object.keys(parts).join(', ')}.`);
  process.exit(1);
}
const { optionalDependencies = {} } = JSON.parse(readFileSync('package.json', 'utf8'));
const omitted = Object.entries(parts).flatMap(([part, packages]) => (chosen.includes(part) ? [] : packages));
for (const name of omitted) if (Object.hasOwn(optionalDependencies, name)) console.log(name);

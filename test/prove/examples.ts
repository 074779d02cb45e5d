/**
 * `npm run prove -- examples`: nothing depends on the example features.
 *
 *     npm run prove -- examples                 without each of them, and without all
 *     npm run prove -- examples posts uploads   without these two
 *
 * A copy of the project without them must pass `npm run check`, and, with its pages generated again, the whole suite. The
 * tests of the examples themselves (`test/examples`) go with them. One round takes as long as `npm test`.
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exampleNames, mustCopyWithout, mustRun } from '../helpers/removed-examples.ts';

const given = process.argv.slice(3);
const rounds = given.length > 0 ? [given] : [...exampleNames.map((name) => [name]), exampleNames];

for (const names of rounds) {
  const ends: (() => unknown)[] = [];
  try {
    const folder = await mustCopyWithout({ after: (end: () => unknown) => void ends.unshift(end) }, names);
    await rm(join(folder, 'test/examples'), { recursive: true });
    for (const command of [['run', 'check'], ['run', 'docs'], ['test']]) {
      await mustRun(folder, 'npm', ...command);
      console.log(`ok  without ${names.join(', ')}: npm ${command.join(' ')}`);
    }
  } finally {
    for (const end of ends) await end();
  }
}

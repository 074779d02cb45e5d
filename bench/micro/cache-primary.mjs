/** The primary of the bench of misses (`cache.mjs`): grants loads to its parent process over the channel that workers use. */

import { createPrimaryLoads } from '../../src/cache/primary-loads.ts';
import { parseToSupervisor } from '../../src/cluster/messages.ts';

const send = (message) => process.send(message, () => {});
const session = createPrimaryLoads().connect({
  enter: (id, state) => send({ kind: 'load-state', id, state }),
  receive: (id, value) => send({ kind: 'load-value', id, value }),
});

process.on('message', (message) => {
  const known = parseToSupervisor(message);
  if (known?.kind === 'load') session.ask(known);
  else if (known?.kind === 'load-end') session.finish(known.id, known.value);
});
process.on('disconnect', () => process.exit(0));

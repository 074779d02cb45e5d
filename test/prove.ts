/** `npm run prove -- <name>`: runs a proof, a check that is too heavy or needs too many tools for the tests. */

import { exitUnavailable, findMissing, type Tool } from './prove/tools.ts';

interface Proof {
  readonly run: () => Promise<unknown>;
  /** The tools that it runs. */
  readonly needs?: readonly Tool[];
}

const isQuick = process.argv.includes('--quick');

const proofs = new Map<string, Proof>([
  ['contract', { run: () => import('./contract/run.ts') }],
  // Runs the test runner, which treats the name `browser` as a part of test paths.
  ['browser', { run: () => import('./run.ts'), needs: process.env.CHROMIUM ? [] : ['chromium'] }],
  ['alerts', { run: () => import('./prove/alerts.ts'), needs: ['promtool'] }],
  ['container', { run: () => import('./prove/container.ts'), needs: ['buildah', 'debootstrap'] }],
  ['deploy', { run: () => import('./prove/deploy.ts') }],
  ['examples', { run: () => import('./prove/examples.ts') }],
  ['faults', { run: () => import('./prove/faults.ts'), needs: ['redis-server'] }],
  ['jobs', { run: () => import('./prove/jobs.ts') }],
  ['jobs-plans', { run: () => import('./prove/jobs-plans.ts') }],
  ['limiter', { run: () => import('./prove/limiter.ts') }],
  ['metrics', { run: () => import('./prove/metrics.ts'), needs: ['promtool'] }],
  ['overload', { run: () => import('./prove/overload.ts'), needs: isQuick ? [] : ['slowhttptest'] }],
  ['partition', { run: () => import('./prove/partition.ts'), needs: ['ip', 'iptables'] }],
  ['pooler', { run: () => import('./prove/pooler.ts'), needs: ['pgbouncer'] }],
  ['probes', { run: () => import('./prove/probes.ts') }],
  ['reload', { run: () => import('./prove/reload.ts'), needs: isQuick ? [] : ['nginx'] }],
  ['shared-limits', { run: () => import('./prove/shared-limits.ts'), needs: ['nginx', 'redis-server'] }],
  ['soak', { run: () => import('./prove/soak.ts') }],
]);

const name = process.argv[2] ?? '';
const proof = proofs.get(name);
if (proof === undefined) {
  console.error(
    `Usage: npm run prove -- <name>, where the name is one of: ${[...proofs.keys()].join(', ')}.`,
  );
  process.exit(1);
}
const missing = findMissing(proof.needs ?? []);
if (missing.length > 0) {
  console.error(missing.join('\n'));
  process.exit(exitUnavailable);
}
await proof.run();

/** `npm run prove -- <name>`: runs a proof that is too heavy, or needs too much, for the tests. */

const proofs = new Map([
  ['contract', () => import('./contract/run.ts')],
  // The test runner, which takes the name for the part of a path that it is.
  ['browser', () => import('./run.ts')],
  ['alerts', () => import('./prove/alerts.ts')],
  ['jobs', () => import('./prove/jobs.ts')],
  ['jobs-plans', () => import('./prove/jobs-plans.ts')],
  ['limiter', () => import('./prove/limiter.ts')],
  ['metrics', () => import('./prove/metrics.ts')],
  ['pooler', () => import('./prove/pooler.ts')],
  ['probes', () => import('./prove/probes.ts')],
  ['reload', () => import('./prove/reload.ts')],
  ['soak', () => import('./prove/soak.ts')],
]);

const name = process.argv[2] ?? '';
const proof = proofs.get(name);
if (proof === undefined) {
  console.error(
    `Usage: npm run prove -- <name>, where the name is one of: ${[...proofs.keys()].join(', ')}.`,
  );
  process.exit(1);
}
await proof();

/**
 * `npm run prove -- deploy`: the tools that will read the files in `deploy/` accept them. The tests compare these files and
 * check their schemas; this runs the tools themselves, as far as they are installed. None of them needs an engine or a
 * cluster.
 *
 *     docker stack config          the stack of Swarm (Docker's client, from version 25)
 *     docker compose config        compose.yaml (the plugin of Docker's client)
 *     kubectl kustomize            both overlays, whose result is checked against the schemas
 *     systemd-analyze              the unit, and how exposed it leaves the service
 */

import { spawnSync } from 'node:child_process';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { root } from '../helpers/deployment.ts';
import { findManifestErrors } from '../helpers/kubernetes-schemas.ts';

/** The exposure that `systemd-analyze security` may find, of 10. */
const maxExposure = 2;

const manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});

checkStack();
checkCompose();
for (const overlay of ['production', 'staging']) await checkOverlay(overlay);
checkUnit();

function checkStack(): void {
  const { status, stdout, stderr } = run('docker', ['stack', 'config', '-c', 'deploy/swarm/stack.yaml']);
  if (status === undefined || /is not a docker command|unknown flag|Usage:/.test(stderr)) {
    skip('docker stack config', 'a Docker client from version 25 is not installed');
  } else {
    check(
      'docker stack config accepts stack.yaml',
      status === 0 && stdout.includes('replicated-job'),
      stderr,
    );
  }
}

function checkCompose(): void {
  if (run('docker', ['compose', 'version']).status !== 0) {
    skip('docker compose config', "the plugin of Docker's client is not installed");
    return;
  }
  const { status, stderr } = run('docker', ['compose', '-f', 'deploy/compose.yaml', 'config', '--quiet']);
  check('docker compose config accepts compose.yaml', status === 0, stderr);
}

async function checkOverlay(overlay: string): Promise<void> {
  const { status, stdout, stderr } = run('kubectl', ['kustomize', `deploy/kubernetes/overlays/${overlay}`]);
  if (status !== 0) {
    if (status === undefined) skip(`the overlay ${overlay}`, 'kubectl is not installed');
    else check(`kubectl kustomize builds the overlay ${overlay}`, false, stderr);
    return;
  }
  const all = parseAllDocuments(stdout).map((document) => manifest.parse(document.toJS()));
  const errors = await Promise.all(
    all.map(async (each) =>
      (await findManifestErrors(each)).map((error) => `${each.kind} ${each.metadata.name}: ${error}`),
    ),
  );
  const namespace = `strata-${overlay}`;
  for (const { kind, metadata } of all) {
    const found = kind === 'Namespace' ? metadata.name : metadata.namespace;
    if (found !== namespace) errors.push([`${kind} ${metadata.name} is in the namespace ${found}.`]);
  }
  const configMap = all.find(({ kind }) => kind === 'ConfigMap')?.metadata.name ?? '';
  const named = Array.from(stdout.matchAll(/configMapRef:\n\s+name: (\S+)/g), ([, name]) => name);
  if (named.length === 0 || named.some((name) => name !== configMap))
    errors.push([`The pods name the config maps ${named.join()}, and ${configMap} is made.`]);
  if (/image: strata(?::|\s)/.test(stdout)) errors.push(['An image has no registry.']);
  check(
    `the ${all.length} objects of the overlay ${overlay} are valid`,
    errors.flat().length === 0,
    errors.flat().join('\n'),
  );
}

function checkUnit(): void {
  const file = 'deploy/systemd/strata.service';
  const { status, stdout, stderr } = run('systemd-analyze', [
    'security',
    '--offline=yes',
    '--no-pager',
    file,
  ]);
  if (status === undefined) {
    skip('the unit of systemd', 'systemd-analyze is not installed');
    return;
  }
  const exposure = Number(/Overall exposure level for strata\.service: ([\d.]+)/.exec(stdout)?.[1]);
  check(`systemd-analyze finds an exposure of ${exposure} of 10`, exposure <= maxExposure, stderr);
  // It also reports every unit of this machine, and programs that are not installed here.
  const { stderr: problems } = run('systemd-analyze', ['verify', file]);
  const own = problems
    .split('\n')
    .filter((line) => line.includes('strata.service') && !/is not executable/.test(line));
  check('systemd-analyze knows every directive of the unit', own.length === 0, own.join('\n'));
}

/** Runs a tool in the root folder. The status is undefined if it is not installed. */
function run(command: string, args: readonly string[]) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
  if (error === undefined) return { status, stdout, stderr };
  return { status: undefined, stdout: '', stderr: error.message };
}

function check(what: string, isRight: boolean, output: string): void {
  if (isRight) console.log(`ok  ${what}`);
  else {
    console.error(`FAILED: ${what}.\n${output}`);
    process.exitCode = 1;
  }
}

function skip(what: string, why: string): void {
  console.log(`--  ${what}: ${why}`);
}

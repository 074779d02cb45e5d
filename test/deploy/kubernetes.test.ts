import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import * as z from 'zod';
import { description, podSpecs, readManifests, readProjectFile } from '../helpers/deployment.ts';
import { findManifestErrors } from '../helpers/kubernetes-schemas.ts';

const base = readManifests('base');
const all = [
  ...base,
  ...readManifests('components/monitoring'),
  ...readManifests('components/keda'),
  ...readManifests('.'),
];
const found = (kind: string, name: string) =>
  all.find(({ manifest }) => manifest.kind === kind && manifest.metadata.name === name)?.manifest;

describe('the manifests of Kubernetes', () => {
  for (const { file, manifest } of all) {
    test(`${manifest.kind} ${manifest.metadata.name} in ${file} fits its schema and has no unknown field`, async () => {
      assert.deepEqual(await findManifestErrors(manifest), []);
    });
  }

  test('the check of the schemas finds a misspelt field, a wrong type and an unknown kind', async () => {
    const service = found('Service', 'strata-api');
    assert.ok(service !== undefined);
    const spec = { ...service.spec, sessionAfinity: 'None' };
    assert.deepEqual(await findManifestErrors({ ...service, spec }), [
      '/spec/sessionAfinity is no field of Service.',
    ]);
    assert.match((await findManifestErrors({ ...service, spec: { ports: 'http' } })).join(), /ports/);
    assert.deepEqual(await findManifestErrors({ ...service, kind: 'Servise' }), ['v1 has no kind Servise.']);
  });

  test('each kustomization names all files of its folder and no other', () => {
    for (const folder of ['base', 'components/monitoring', 'components/keda']) {
      const { resources } = z
        .object({ resources: z.array(z.string()) })
        .parse(parse(readProjectFile(`deploy/kubernetes/${folder}/kustomization.yaml`)));
      const files = new Set(readManifests(folder).map(({ file }) => file));
      assert.deepEqual(
        resources.map((name) => join('deploy/kubernetes', folder, name)).sort(),
        [...files].sort(),
      );
    }
  });

  test('selectors, scalers, budgets, routes and probes name objects and ports that exist', () => {
    const components = new Set(['api', 'worker', 'migrate', 'management']);
    for (const [, component = ''] of readFolder().matchAll(/app\.kubernetes\.io\/component: ([\w-]+)/g))
      assert.ok(components.has(component), component);
    for (const kind of ['HorizontalPodAutoscaler', 'ScaledObject']) {
      for (const { manifest } of all.filter((each) => each.manifest.kind === kind)) {
        const { scaleTargetRef: target } = z
          .object({ scaleTargetRef: z.object({ kind: z.string(), name: z.string() }) })
          .parse(manifest.spec);
        assert.ok(found(target.kind, target.name) !== undefined, target.name);
      }
    }
    for (const { kind, name } of podSpecs()) {
      if (kind === 'Deployment') assert.ok(found('PodDisruptionBudget', name) !== undefined, name);
    }
    assert.match(
      JSON.stringify(found('Ingress', 'strata')),
      /"service":\{"name":"strata-api","port":\{"name":"http"\}\}/,
    );
  });

  test('the probes ask the management port, and restart only for liveness', () => {
    for (const { kind, pod } of podSpecs()) {
      if (kind === 'Job') continue;
      const [container] = pod.containers;
      const get = (path: string) => ({ path, port: 'management' });
      const probes = z.object({ httpGet: z.unknown() });
      assert.deepEqual(probes.parse(container.startupProbe).httpGet, get('/livez'));
      assert.deepEqual(probes.parse(container.livenessProbe).httpGet, get('/livez'));
      assert.deepEqual(probes.parse(container.readinessProbe).httpGet, get('/readyz'));
      // Of the restricted standard.
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
  });

  test('the secret of the example has the files that the settings name', () => {
    const secret = z
      .object({ stringData: z.record(z.string(), z.string()) })
      .parse(readManifests('.').map(({ manifest }) => manifest)[0]);
    assert.deepEqual(Object.keys(secret.stringData).sort(), Object.values(description.secrets).sort());
  });

  test('the alerts of Kubernetes are those of deploy/prometheus/rules.yml, for the job that the ServiceMonitor sets', () => {
    const rule = z.object({ groups: z.unknown() }).parse(found('PrometheusRule', 'strata')?.spec);
    assert.deepEqual(rule, parse(readProjectFile('deploy/prometheus/rules.yml')));
    assert.match(
      JSON.stringify(found('ServiceMonitor', 'strata')?.spec),
      /"jobLabel":"app.kubernetes.io\/name"/,
    );
    assert.match(
      readProjectFile('deploy/kubernetes/base/kustomization.yaml'),
      /app.kubernetes.io\/name: strata/,
    );
  });

  test('the scaler of the worker asks for a metric that runners have', () => {
    const query = JSON.stringify(found('ScaledObject', 'strata-worker')?.spec);
    const [, metric = ''] = /by \(queue\) \((\w+)\{job=/.exec(query) ?? [];
    assert.ok(readProjectFile('docs/metrics.md').includes(`| \`${metric}\` | gauge | \`queue\``), query);
  });
});

function readFolder(): string {
  return ['api', 'api-scaling', 'worker', 'migrate']
    .map((name) => readProjectFile(`deploy/kubernetes/base/${name}.yaml`))
    .join();
}

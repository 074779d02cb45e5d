/** The files in `deploy/` as the tests compare them: which service runs with which command, environment and secrets. */

import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import * as z from 'zod';

export const root = join(import.meta.dirname, '../..');
export const readProjectFile = (path: string) => readFileSync(join(root, path), 'utf8');

const texts = z.record(z.string(), z.string());

/** `deploy/description.json`: what all targets have in common. */
export const description = z
  .strictObject({
    name: z.string(),
    image: z.string(),
    user: z.string(),
    ports: z.strictObject({ http: z.string(), management: z.string() }),
    services: z.record(z.string(), z.strictObject({ command: z.array(z.string()), environment: texts })),
    backends: z.record(z.string(), z.strictObject({ host: z.string(), port: z.string() })),
    environment: texts,
    /** Variables whose values depend on the network of the target. */
    differs: z.array(z.string()),
    /** The file of each secret. */
    secrets: texts,
  })
  .parse(JSON.parse(readProjectFile('deploy/description.json')));

/** One service of our image on one target. */
export interface Unit {
  readonly target: string;
  readonly service: string;
  readonly image: string;
  /** Undefined for the command of the image. */
  readonly command: readonly string[] | undefined;
  /** With that of the image. */
  readonly environment: Readonly<Record<string, string>>;
  /** The names of the files below the folder of the secrets that it gets. */
  readonly secrets: readonly string[];
}

/** The keys of a service that no test reads. */
const otherKeys = [
  ...['build', 'cap_drop', 'configs', 'depends_on', 'entrypoint', 'logging', 'ports', 'read_only'],
  ...['restart', 'security_opt', 'shm_size', 'tmpfs', 'user', 'volumes'],
];

const composeFile = z.object({
  services: z.record(
    z.string(),
    // Strict, because compose ignores nothing and Swarm ignores what it does not know.
    z.strictObject({
      ...Object.fromEntries(otherKeys.map((key) => [key, z.unknown().optional()])),
      image: z.string(),
      command: z.array(z.string()).optional(),
      environment: texts.optional(),
      secrets: z.array(z.string()).optional(),
      networks: z.array(z.string()).optional(),
      expose: z.array(z.string()).optional(),
      stop_grace_period: z.string().optional(),
      deploy: z.looseObject({}).optional(),
      healthcheck: z.looseObject({ test: z.array(z.string()).optional() }).optional(),
    }),
  ),
  networks: z.record(z.string(), z.looseObject({})),
  volumes: z.record(z.string(), z.unknown()),
  configs: z.record(z.string(), z.looseObject({ file: z.string() })),
  secrets: z.record(z.string(), z.looseObject({})),
});

export type ComposeFile = z.infer<typeof composeFile>;

/** Reads a compose file or a stack, with its merge keys applied. */
export function readCompose(path: string): ComposeFile {
  return composeFile.parse(parse(readProjectFile(path), { merge: true }));
}

export type Manifest = z.infer<typeof manifest>;
const manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), labels: texts.optional() }),
  spec: z.looseObject({}).optional(),
});

/** Reads the manifests of a folder of `deploy/kubernetes/`, without those of kustomize. */
export function readManifests(folder: string): { readonly file: string; readonly manifest: Manifest }[] {
  return readdirSync(join(root, 'deploy/kubernetes', folder))
    .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
    .flatMap((name) => {
      const file = join('deploy/kubernetes', folder, name);
      return parseAllDocuments(readProjectFile(file)).map((document) => {
        if (document.errors.length > 0) throw new Error(`${file}: ${document.errors.join()}`);
        return { file, manifest: manifest.parse(document.toJS()) };
      });
    });
}

/** Reads `NAME=value` lines. */
export function readEnvLines(text: string): Record<string, string> {
  return Object.fromEntries(
    Array.from(text.matchAll(/^([A-Z_]+)=(.*)$/gm), ([, name = '', value = '']) => [name, value]),
  );
}

/** The environment that the Dockerfile sets. */
export function imageEnvironment(): Record<string, string> {
  const [, lines = ''] = /^ENV ((?:.*\\\n)*.*)$/m.exec(readProjectFile('Dockerfile')) ?? [];
  return readEnvLines(lines.replaceAll(/ ?\\\n/g, '\n').replaceAll(/^ +/gm, ''));
}

export function composeUnits(target: string, path: string): Unit[] {
  return Object.entries(readCompose(path).services)
    .filter(([, { image }]) => image.includes(`${description.name}:`))
    .map(([service, { image, command, environment = {}, secrets = [] }]) => ({
      ...{ target, service, image, command, secrets },
      environment: { ...imageEnvironment(), ...environment },
    }));
}

const podSpec = z.looseObject({
  containers: z.tuple([
    z.looseObject({
      name: z.string(),
      image: z.string(),
      command: z.array(z.string()).optional(),
      env: z.array(z.strictObject({ name: z.string(), value: z.string() })).default([]),
      ports: z.array(z.strictObject({ name: z.string(), containerPort: z.int() })).default([]),
    }),
  ]),
  terminationGracePeriodSeconds: z.int().optional(),
  volumes: z.array(z.looseObject({ name: z.string() })),
});

/** Returns the pod of each workload of the base. */
export function podSpecs() {
  return readManifests('base').flatMap(({ manifest: { kind, metadata, spec } }) => {
    if (kind !== 'Deployment' && kind !== 'Job') return [];
    const pod = podSpec.parse(
      z.object({ template: z.object({ spec: z.unknown() }) }).parse(spec).template.spec,
    );
    return [{ kind, name: metadata.name, pod }];
  });
}

/** Returns the workloads of the base with the config map of an overlay; undefined for that of the base. */
export function kubernetesUnits(overlay?: string): Unit[] {
  const changed = overlay === undefined ? {} : overlayLiterals(overlay);
  return podSpecs().map(({ pod }) => {
    const [container] = pod.containers;
    return {
      target: overlay ?? 'kubernetes',
      service: container.name,
      image: container.image,
      command: container.command,
      environment: {
        ...imageEnvironment(),
        ...readEnvLines(readProjectFile('deploy/kubernetes/base/strata.env')),
        ...changed,
        ...Object.fromEntries(container.env.map(({ name, value }) => [name, value])),
      },
      secrets: Object.values(description.secrets),
    };
  });
}

function overlayLiterals(overlay: string): Record<string, string> {
  const { configMapGenerator = [] } = z
    .object({ configMapGenerator: z.array(z.object({ literals: z.array(z.string()) })).optional() })
    .parse(parse(readProjectFile(`deploy/kubernetes/overlays/${overlay}/kustomization.yaml`)));
  return readEnvLines(configMapGenerator.flatMap(({ literals }) => literals).join('\n'));
}

/** The service of `deploy/systemd/strata.service`, which uses the installation on the machine instead of the image. */
export function systemdUnit(): Unit {
  const text = readProjectFile('deploy/systemd/strata.service');
  const lines = Array.from(text.matchAll(/^Environment="?([^"\n]*)"?$/gm), ([, line = '']) => line);
  return {
    target: 'systemd',
    service: 'server',
    image: '',
    command: /^ExecStart=(.*)$/m.exec(text)?.[1]?.split(' '),
    environment: readEnvLines(lines.join('\n')),
    secrets: Array.from(text.matchAll(/^LoadCredential=([\w-]+):/gm), ([, name = '']) => name),
  };
}

export const allUnits = (): Unit[] => [
  ...composeUnits('compose', 'deploy/compose.yaml'),
  ...composeUnits('swarm', 'deploy/swarm/stack.yaml'),
  ...kubernetesUnits(),
  ...kubernetesUnits('staging'),
  systemdUnit(),
];

/** Returns the secrets that a unit reads from files, by the name of the file without its folder. */
export function secretFiles({ environment }: Unit): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, path]) =>
      name.endsWith('_FILE') ? [[name.slice(0, -'_FILE'.length), basename(path)]] : [],
    ),
  );
}

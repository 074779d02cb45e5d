import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { loadSettings } from '../../src/settings/load.ts';
import { variables } from '../../src/settings/table.ts';
import {
  allUnits,
  description,
  imageEnvironment,
  podSpecs,
  readCompose,
  readProjectFile,
  root,
  secretFiles,
} from '../helpers/deployment.ts';

const folder = mkdtempSync(join(tmpdir(), 'strata-deployment-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const secrets = join(folder, 'secrets');
const made = spawnSync(join(root, 'deploy/secrets.sh'), [secrets], { encoding: 'utf8' });

/** The environment of a unit with the secrets that `deploy/secrets.sh` makes. */
function withSecrets(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [
      name,
      name.endsWith('_FILE') ? join(secrets, value.split('/').at(-1) ?? '') : value,
    ]),
  );
}

const units = allUnits();
const compose = readCompose('deploy/compose.yaml');
const stack = readCompose('deploy/swarm/stack.yaml');

describe('deploy/secrets.sh', () => {
  test('deploy/secrets.sh makes every secret that a file in deploy/ names', () => {
    assert.equal(made.status, 0, made.stderr);
    const files = readdirSync(secrets);
    // Its value is in the configuration and in the URL of Redis.
    assert.deepEqual(files.sort(), [...Object.keys(compose.secrets), 'redis-password'].sort());
    for (const file of Object.keys(stack.secrets)) assert.ok(files.includes(file), file);
    for (const file of Object.values(description.secrets)) assert.ok(files.includes(file), file);
  });

  test('deploy/secrets.sh does not replace a secret', () => {
    const before = readFileSync(join(secrets, 'jwt-secrets'), 'utf8');
    assert.match(before, /^[0-9a-f]{64}\n$/);
    spawnSync(join(root, 'deploy/secrets.sh'), [secrets]);
    assert.equal(readFileSync(join(secrets, 'jwt-secrets'), 'utf8'), before);
  });

  test('deploy/secrets.sh requires the certificate of a database that is on another machine', () => {
    const remote = join(folder, 'remote');
    spawnSync(join(root, 'deploy/secrets.sh'), [remote, 'db.internal', 'redis.internal']);
    const url = readFileSync(join(remote, 'database-url'), 'utf8');
    assert.match(url, /^postgres:\/\/strata:[0-9a-f]{64}@db\.internal:5432\/strata\?sslmode=verify-full\n$/);
    assert.match(readFileSync(join(remote, 'redis-url'), 'utf8'), /@redis\.internal:6379/);
  });

  test('the password of Redis is in its configuration and in the URL', () => {
    const password = readFileSync(join(secrets, 'redis-password'), 'utf8').trim();
    assert.equal(readFileSync(join(secrets, 'redis-config'), 'utf8'), `requirepass ${password}\n`);
    assert.equal(readFileSync(join(secrets, 'redis-url'), 'utf8'), `redis://:${password}@redis:6379/0\n`);
  });
});

test('the files in deploy/ have the services migrate, api and worker on every target', () => {
  const wanted = ['migrate', 'api', 'worker'];
  for (const target of ['compose', 'swarm', 'kubernetes']) {
    const found = units.filter((unit) => unit.target === target).map(({ service }) => service);
    assert.deepEqual(found.sort(), wanted.sort(), target);
  }
  assert.deepEqual(Object.keys(description.services).sort(), wanted.sort());
});

for (const unit of units) {
  const { target, service, environment } = unit;
  const name = `${service} on ${target}`;

  test(`${name} starts with its settings, which are all known and without an unexpected warning`, () => {
    const { warnings, settings } = loadSettings({ env: withSecrets(environment), envFile: null });
    const expected = [
      // The Redis of deploy/secrets.sh is in the network of the containers.
      /^SECURITY_REDIS_URL does not use TLS/,
    ];
    assert.deepEqual(
      warnings.filter((warning) => !expected.some((pattern) => pattern.test(warning))),
      [],
    );
    assert.equal(settings.security.enforceHttps, true);
    assert.equal(settings.security.enableHsts, true);
    assert.equal(settings.security.rateLimitStore, 'redis');
    assert.ok(settings.security.jwtSecrets.length > 0);
  });

  test(`${name} reads every secret from a file, and gets each file that it reads`, () => {
    assert.deepEqual(secretFiles(unit), description.secrets);
    assert.deepEqual([...unit.secrets].sort(), Object.values(description.secrets).sort());
    for (const { name: variable, secret } of variables) {
      if (secret !== undefined) assert.equal(environment[variable], undefined, variable);
    }
  });

  if (target === 'systemd' || target === 'staging') continue;

  test(`${name} has the command and the environment of deploy/description.json`, () => {
    const common = Object.entries(environment).filter(
      ([variable]) => !variable.endsWith('_FILE') && !description.differs.includes(variable),
    );
    const own = description.services[service];
    assert.ok(own !== undefined);
    // A job of Kubernetes listens on no port.
    const off = target === 'kubernetes' && service === 'migrate' ? { APP_MANAGEMENT_PORT: 'off' } : {};
    assert.deepEqual(Object.fromEntries(common), { ...description.environment, ...own.environment, ...off });
    const [, command = ''] = /^CMD (.*)$/m.exec(readProjectFile('Dockerfile')) ?? [];
    assert.deepEqual(unit.command ?? JSON.parse(command), own.command);
  });
}

test('the ports of deploy/description.json are the defaults of the settings and those of the image', () => {
  const { http, management } = description.ports;
  const { server } = loadSettings({ env: {}, envFile: null }).settings;
  assert.deepEqual([http, management], [String(server.port), String(server.management?.port)]);
  assert.equal(imageEnvironment().APP_PORT, http);
  assert.equal(imageEnvironment().APP_MANAGEMENT_PORT, management);
  assert.match(readProjectFile('Dockerfile'), new RegExp(`^EXPOSE ${http} ${management}$`, 'm'));
  assert.deepEqual(compose.services.api?.expose, [http, management]);
  assert.deepEqual(compose.services.worker?.expose, [management]);
  for (const { pod, kind } of podSpecs()) {
    const [{ name, ports }] = pod.containers;
    const wanted = { http: Number(http), management: Number(management) };
    const own = kind === 'Job' ? [] : name === 'api' ? ['http', 'management'] : ['management'];
    assert.deepEqual(Object.fromEntries(ports.map((port) => [port.name, port.containerPort])), {
      ...(own.includes('http') ? { http: wanted.http } : {}),
      ...(own.includes('management') ? { management: wanted.management } : {}),
    });
  }
  for (const file of ['upstream.conf', 'upstream-compose.conf', 'upstream-swarm.conf']) {
    const servers = Array.from(
      readProjectFile(`deploy/nginx/${file}`).matchAll(/^ {2}server ([\w.-]+):(\d+)/gm),
      ([, host = '', port = '']) => ({ host, port }),
    );
    assert.ok(servers.length > 0 && servers.every(({ port }) => port === http), file);
    const hosts = { 'upstream-compose.conf': 'api', 'upstream-swarm.conf': 'tasks.api' }[file];
    if (hosts !== undefined) assert.deepEqual(servers, [{ host: hosts, port: http }]);
  }
});

test('the services that the secrets, the proxy and the health checks name are in compose and in the stack', () => {
  const { db, redis } = description.backends;
  assert.equal(
    readFileSync(join(secrets, 'database-url'), 'utf8').match(/@(.*)\/strata/)?.[1],
    `${db?.host}:${db?.port}`,
  );
  assert.equal(
    readFileSync(join(secrets, 'redis-url'), 'utf8').match(/@(.*)\/0/)?.[1],
    `${redis?.host}:${redis?.port}`,
  );
  assert.deepEqual(Object.keys(compose.services).sort(), [
    'api',
    'db',
    'migrate',
    'nginx',
    'redis',
    'worker',
  ]);
  assert.deepEqual(Object.keys(stack.services).sort(), ['api', 'migrate', 'nginx', 'redis', 'worker']);
});

describe('compose and the stack', () => {
  for (const [path, file] of [
    ['deploy/compose.yaml', compose],
    ['deploy/swarm/stack.yaml', stack],
  ] as const) {
    test(`${path} uses only networks, secrets and volumes that it declares`, () => {
      for (const [name, service] of Object.entries(file.services)) {
        for (const network of service.networks ?? [])
          assert.ok(network in file.networks, `${name}: ${network}`);
        for (const secret of service.secrets ?? []) assert.ok(secret in file.secrets, `${name}: ${secret}`);
      }
      const used = new Set(Object.values(file.services).flatMap((service) => service.secrets ?? []));
      assert.deepEqual(
        Object.keys(file.secrets).filter((secret) => !used.has(secret)),
        [],
      );
      for (const { file: config } of Object.values(file.configs)) {
        readProjectFile(join(path, '..', config));
      }
    });

    test(`${path} waits for a stop longer than the program needs`, () => {
      const grace = Number(description.environment.APP_SHUTDOWN_GRACE_SECONDS);
      for (const name of ['migrate', 'api', 'worker']) {
        const seconds = Number(/^(\d+)s$/.exec(file.services[name]?.stop_grace_period ?? '')?.[1]);
        assert.ok(seconds >= grace + 2, `${name}: ${seconds}`);
      }
    });

    test(`${path} trusts the network in which nginx is`, () => {
      const subnet = JSON.stringify(file.networks.edge);
      const trusted = file.services.api?.environment?.SECURITY_TRUSTED_PROXIES;
      assert.ok(trusted !== undefined && subnet.includes(`"${trusted}"`), `${trusted} ${subnet}`);
      assert.deepEqual(file.services.nginx?.networks, ['edge']);
    });
  }
});

test('a pod and systemd wait for a stop longer than the program needs', () => {
  const grace = Number(description.environment.APP_SHUTDOWN_GRACE_SECONDS);
  for (const { kind, name, pod } of podSpecs()) {
    if (kind === 'Job') continue;
    // The five seconds of preStop come first.
    assert.ok((pod.terminationGracePeriodSeconds ?? 0) >= grace + 5 + 2, name);
  }
  const unit = readProjectFile('deploy/systemd/strata.service');
  assert.ok(Number(/^TimeoutStopSec=(\d+)s$/m.exec(unit)?.[1]) >= grace + 2);
});

test('the image runs as the user that Kubernetes requires', () => {
  const user = `${description.user}:${description.user}`;
  assert.match(readProjectFile('Dockerfile'), new RegExp(`^USER ${user}$`, 'm'));
  for (const { pod } of podSpecs()) {
    assert.deepEqual(pod.securityContext, {
      runAsNonRoot: true,
      runAsUser: Number(description.user),
      runAsGroup: Number(description.user),
      fsGroup: Number(description.user),
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    });
  }
});

test('the log shippers label the fields that every line has', () => {
  for (const file of ['vector.toml', 'fluent-bit.yaml']) {
    const text = readProjectFile(`deploy/logging/${file}`);
    for (const label of ['service', 'environment', 'level'])
      assert.ok(text.includes(label), `${file}: ${label}`);
    assert.ok(!/label.*request_id|request_id.*=.*\{\{/.test(text), file);
  }
});

test('the commands in the documentation name services, files and programs that exist', () => {
  const pages = ['README.md', 'docs/deployment.md', 'docs/operations.md'].map(readProjectFile).join('\n');
  const matches = (pattern: RegExp) => Array.from(pages.matchAll(pattern), ([, name = '']) => name);
  const inCompose = matches(/docker compose [^\n`]*? (?:exec|logs -f) ([\w-]+)/g);
  const scaled = matches(/--scale ([\w-]+)=/g);
  assert.ok(inCompose.length > 0 && scaled.length > 0);
  for (const name of [...inCompose, ...scaled]) assert.ok(name in compose.services, name);
  const inStack = matches(/docker service (?:scale|rollback) strata_([\w-]+)/g);
  assert.ok(inStack.length > 0);
  for (const name of inStack) assert.ok(name in stack.services, name);
  const programs = readProjectFile('build.mjs');
  for (const name of matches(/node (?:--enable-source-maps )?dist\/([\w/-]+)\.js/g))
    assert.ok(programs.includes(`'${name}'`), name);
  const workloads = new Set(podSpecs().map(({ kind, name }) => `${kind.toLowerCase()}/${name}`));
  for (const name of matches(/rollout \w+ (deployment\/[\w-]+)/g)) assert.ok(workloads.has(name), name);
});

test('the memory limit of the api is enough for the passwords that its workers hash at once', () => {
  // 340 MB, and for each worker two hashes of 128 MiB (src/auth/password.ts): docs/deployment.md.
  const workers = Number(description.services.api?.environment.APP_WORKERS);
  const neededMb = 340 + workers * 2 * 128;
  const [pod] = podSpecs().filter(({ name }) => name === 'strata-api');
  const limits = [compose.services.api?.deploy, stack.services.api?.deploy, pod?.pod.containers[0].resources];
  for (const limit of limits) {
    const [, size, unit] = /"limits":\{"memory":"(\d+)(Mi|M|Gi|G)"/.exec(JSON.stringify(limit)) ?? [];
    const megabytes = Number(size) * (unit?.startsWith('G') ? 1000 : 1);
    assert.ok(megabytes >= neededMb, JSON.stringify(limit));
  }
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { commandOf } from '../helpers/program.ts';
import { testSecret } from '../helpers/test-secret.ts';

/** Runs the command with only this environment, in a folder without a `.env`. */
function run(env: Record<string, string>) {
  return spawnSync(process.execPath, commandOf('cli/openapi'), {
    cwd: tmpdir(),
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...env },
  });
}

describe('npm run openapi', () => {
  test('npm run openapi prints the document of the application without a database', () => {
    const { status, stdout, stderr } = run({ APP_PROJECT_NAME: 'Ledger', APP_API_PREFIX: '/api/v9' });
    assert.equal(status, 0, stderr);
    const document = JSON.parse(stdout);
    assert.equal(document.info.title, 'Ledger');
    const paths = Object.keys(document.paths);
    assert.ok(paths.includes('/api/v9/users/{id}'));
    assert.deepEqual(
      paths.filter((path) => !path.startsWith('/api/v9/')),
      [],
    );
  });

  test('every operation has the descriptions and examples that readers and generated clients need', () => {
    const document = JSON.parse(run({}).stdout);
    const tags = document.tags.map((tag: { name: string }) => tag.name);
    for (const [path, item] of Object.entries<Record<string, ReturnType<typeof JSON.parse>>>(
      document.paths,
    )) {
      for (const [method, operation] of Object.entries(item)) {
        const where = `${method} ${path}`;
        assert.match(operation.operationId, /^[a-z][a-zA-Z]+$/, where);
        assert.ok(operation.summary, where);
        assert.ok(operation.description, where);
        assert.ok(operation.tags.length > 0, where);
        for (const tag of operation.tags) assert.ok(tags.includes(tag), `${where}: ${tag}`);
        for (const { name, required, description, example } of operation.parameters ?? []) {
          assert.ok(description, `${where} does not describe ${name}`);
          assert.ok(!required || example !== undefined, `${where} has no example of ${name}`);
        }
        for (const media of Object.values<{ example?: unknown }>(operation.requestBody?.content ?? {})) {
          assert.notEqual(media.example, undefined, `${where} has no example of its body`);
        }
      }
    }
  });

  test('npm run openapi prints the document of production, which the server does not publish', () => {
    const { status, stdout, stderr } = run({
      APP_ENVIRONMENT: 'production',
      APP_DATABASE_URL: 'none',
      APP_ALLOWED_HOSTS: 'api.example.org',
      SECURITY_JWT_SECRET: testSecret,
    });
    assert.equal(status, 0, stderr);
    assert.equal(JSON.parse(stdout).servers[0].description, 'This server (production)');
  });

  test('npm run openapi prints invalid settings on standard error, and nothing on standard output', () => {
    const { status, stdout, stderr } = run({ APP_PORT: 'ninety' });
    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /APP_PORT/);
    assert.doesNotMatch(stderr, /\n\s+at /);
  });
});

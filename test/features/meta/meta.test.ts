import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createApiClient } from '../../helpers/api-client.ts';
import { mustStartApp } from '../../helpers/test-app.ts';

async function mustDescribe(t: TestContext, env: Record<string, string>) {
  const app = await mustStartApp(t, { env });
  const { status, body } = await createApiClient(app.api).get('/meta');
  assert.equal(status, 200);
  return body;
}

describe('the description of the service', () => {
  it('the description has the name, version, environment, uptime and documentation links', async (t) => {
    const { uptime_seconds, ...meta } = await mustDescribe(t, {
      ...{ APP_ENVIRONMENT: 'local', APP_PROJECT_NAME: 'Looms', APP_PROJECT_DESCRIPTION: 'Weaves.' },
      ...{ APP_PROJECT_VERSION: '1.2.3', APP_API_PREFIX: '/api/v7' },
    });
    assert.deepEqual(meta, {
      ...{
        name: 'Looms',
        description: 'Weaves.',
        version: '1.2.3',
        environment: 'local',
        api_prefix: '/api/v7',
      },
      docs: { swagger: '/docs', redoc: '/redoc', openapi: '/openapi.json' },
    });
    assert.ok(uptime_seconds > 0);
  });

  it('the description has no links if no documentation is served', async (t) => {
    const { docs } = await mustDescribe(t, { APP_ENVIRONMENT: 'test' });
    assert.deepEqual(docs, { swagger: null, redoc: null, openapi: null });
  });
});

describe('the path /', () => {
  const browser = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };

  it('a browser in local is redirected to the docs page, and a program gets links', async (t) => {
    const app = await mustStartApp(t, { env: { APP_ENVIRONMENT: 'local', APP_PROJECT_NAME: 'Looms' } });
    const page = await fetch(`${app.url}/`, { headers: browser, redirect: 'manual' });
    assert.deepEqual([page.status, page.headers.get('location')], [307, '/docs']);
    for (const accept of ['*/*', 'application/json', 'text/html;q=0']) {
      const { status, body } = await createApiClient(app.url).get('/', { accept });
      assert.equal(status, 200);
      assert.deepEqual(body, {
        ...{ name: 'Looms', meta: '/api/v1/meta', health: '/api/v1/health/ready' },
        ...{ docs: '/docs', openapi: '/openapi.json' },
      });
      for (const path of [body.meta, body.docs, body.openapi]) {
        assert.equal((await fetch(`${app.url}${path}`)).status, 200, path);
      }
    }
  });

  it('outside of local a browser gets the links too', async (t) => {
    const app = await mustStartApp(t, { env: { APP_ENVIRONMENT: 'test' } });
    const { status, body } = await createApiClient(app.url).get('/', browser);
    assert.equal(status, 200);
    assert.deepEqual([body.docs, body.openapi], [null, null]);
  });
});

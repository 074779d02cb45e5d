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

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { insertFeature } from '../helpers/insert-feature.ts';
import { mustCopyProgram, startProgram } from '../helpers/program.ts';

const frontFile = `
import * as z from 'zod';
import { route } from '../../http/route.ts';

const facts = { method: 'GET', auth: 'none', tags: ['tides'], summary: 'Read the tide' };
const responses = { 200: { description: 'The tide.', schema: z.object({ high: z.boolean() }) } };

export const tides = {
  name: 'tides',
  tags: [{ name: 'tides', description: 'The tides.' }],
  routes({ metrics }) {
    const read = metrics.counter({ name: 'tides_read_total', help: 'Counts reads.' }).of();
    const handler = () => {
      read.add();
      return { high: true };
    };
    return [route({ ...facts, path: '/tides', operationId: 'getTides', responses, handler })];
  },
  rootRoutes: () => [
    route({ ...facts, path: '/tide', operationId: 'getTide', responses, handler: () => ({ high: false }) }),
  ],
  healthChecks: () => [
    { name: 'tides', required: true, run: () => Promise.reject(new Error('The gauge is dry.')) },
  ],
};
`;

it('a feature that is one folder and one line has routes, a metric and a readiness check in the program', async (t) => {
  const folder = await mustCopyProgram(t, (sources) => insertFeature(sources, 'tides', frontFile));
  const program = startProgram(t, { APP_MANAGEMENT_PORT: '0' }, [], folder);
  const url = await program.ready;
  const get = async (path: string) => {
    const response = await fetch(url + path);
    const body: ReturnType<typeof JSON.parse> = await response.json();
    return { status: response.status, body };
  };
  assert.deepEqual(await get('/api/v1/tides'), { status: 200, body: { high: true } });
  assert.deepEqual(await get('/tide'), { status: 200, body: { high: false } });
  const { paths, tags } = (await get('/openapi.json')).body;
  assert.ok('/api/v1/tides' in paths && !('/tide' in paths));
  assert.ok(tags.some(({ name }: { name: string }) => name === 'tides'));
  const { status, body } = await get('/api/v1/health/ready');
  assert.deepEqual([status, body.checks.tides.status], [503, 'failed']);
  const metrics = await (await fetch(`${await program.management}/metrics`)).text();
  assert.match(metrics, /^tides_read_total 1$/m);
});

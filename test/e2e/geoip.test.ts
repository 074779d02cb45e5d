import assert from 'node:assert/strict';
import { copyFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { buildCountryFile } from '../helpers/country-file.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustMakeFolder, startProgram } from '../helpers/program.ts';

const realDatabase = join(
  dirname(createRequire(import.meta.url).resolve('@ip-location-db/geo-whois-asn-country-mmdb/package.json')),
  'geo-whois-asn-country.mmdb',
);

async function mustPrepare(t: TestContext) {
  const path = join(await mustMakeFolder(t), 'countries.mmdb');
  const env = {
    APP_WORKERS: '2',
    APP_MANAGEMENT_PORT: '0',
    SECURITY_TRUST_PROXY_HEADERS: 'true',
    SECURITY_RATE_LIMIT_ENABLED: 'false',
    SECURITY_ENABLE_GEO_BLOCKING: 'true',
    SECURITY_GEOIP_DATABASE_PATH: path,
    SECURITY_BLOCKED_COUNTRIES: 'US',
    SECURITY_UNKNOWN_COUNTRIES: 'block',
  };
  return { path, env };
}

it('two workers reject blocked countries, and use a database that is replaced while they run', async (t) => {
  const { path, env } = await mustPrepare(t);
  await copyFile(realDatabase, path);
  const program = startProgram(t, env);
  const url = await program.ready;
  const ask = (client: string, target = '/api/v1/') =>
    // A connection of its own for each request, so that both workers get some.
    fetch(`${url}${target}`, { headers: { 'X-Forwarded-For': client, Connection: 'close' } });
  const isBlocked = async (client: string) => (await ask(client)).status === 403;
  const both = async (check: () => Promise<boolean>) => {
    for (let index = 0; index < 12; index += 1) if (!(await check())) return false;
    return true;
  };

  const refused = await ask('8.8.8.8');
  assert.equal(refused.status, 403);
  assert.match(await refused.text(), /"code":"country_blocked","layer":"geo-block"/);
  assert.ok(await both(() => isBlocked('2001:4860:4860::8888')));
  assert.ok(await both(() => isBlocked('240.0.0.1')), 'an unknown country');
  for (const allowed of ['194.97.1.1', '10.1.2.3', '::1']) {
    assert.ok(await both(async () => !(await isBlocked(allowed))), allowed);
  }
  assert.equal((await ask('8.8.8.8', '/api/v1/health/live')).status, 200, 'a probe');

  const replace = async (bytes: Buffer) => {
    await writeFile(`${path}.new`, bytes);
    await rename(`${path}.new`, path);
  };
  const count = (event: string) => program.stdout().split(`"event":"${event}"`).length - 1;
  await replace(Buffer.from('not a database'));
  await eventually('both workers reject the file', () => count('geoip.database_rejected') === 2);
  assert.ok(await both(() => isBlocked('8.8.8.8')), 'the old database stays in use');

  await replace(buildCountryFile({ records: { '0': { country_code: 'DE' }, '1': { country_code: 'US' } } }));
  await eventually('both workers use the new database', () => count('geoip.database_loaded') === 4);
  assert.ok(await both(async () => !(await isBlocked('8.8.8.8'))));
  assert.ok(await both(() => isBlocked('194.97.1.1')));

  assert.match(program.stdout(), /"client_address":"8\.8\.8\.8","country":"US","code":"country_blocked"/);
  const metrics = await (await fetch(`${await program.management}/metrics`)).text();
  assert.match(metrics, /^geoip_requests_total\{country="US",result="blocked"\} \d+$/m);
  assert.match(metrics, /^geoip_requests_total\{country="private",result="allowed"\} \d+$/m);
});

it('a database that is missing or damaged stops the start with one sentence', async (t) => {
  const { path, env } = await mustPrepare(t);
  const missing = startProgram(t, env);
  assert.equal((await missing.ended).code, 1);
  assert.match(missing.stderr(), /^SECURITY_GEOIP_DATABASE_PATH names .*, which does not exist; .*\.\n$/);

  await writeFile(path, buildCountryFile({ records: { '1': { country_code: 'US' } } }).subarray(0, 60));
  const damaged = startProgram(t, env);
  assert.equal((await damaged.ended).code, 1);
  assert.match(
    damaged.stderr(),
    /^SECURITY_GEOIP_DATABASE_PATH names .*, which is truncated or damaged: .*\.\n$/,
  );
});

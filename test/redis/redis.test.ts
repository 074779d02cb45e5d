import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { createRedisScript, openRedis, type Redis } from '../../src/redis/redis.ts';
import { readRedisUrl } from '../../src/redis/redis-url.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import { mustMakeFolder } from '../helpers/program.ts';
import { startRedis, type TestRedis, withoutRedis } from '../helpers/redis.ts';
import { sourceArguments } from '../helpers/source-arguments.ts';

describe('the connection to Redis', { skip: withoutRedis }, () => {
  let server: TestRedis;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  async function connect(t: TestContext, url: string, pingMs?: number) {
    const { log, lines } = captureLog();
    const redis = await openRedis({
      target: readRedisUrl(url),
      name: 'test',
      log,
      ...(pingMs === undefined ? {} : { pingMs }),
    });
    t.after(() => redis.close(100));
    const events = () => lines().map(({ event }) => event);
    return { redis, events };
  }

  it('a connection whose packets vanish is replaced, also while commands are written to it', async (t) => {
    const { redis, events } = await connect(t, server.url, 100);
    await eventually('the connection is ready', redis.isReady);
    const before = await clientId(redis);
    server.freeze();
    const writes = setInterval(() => redis.send(undefined, ['PING']).catch(() => {}), 20);
    t.after(() => clearInterval(writes));
    await eventually('the loss is found', () => events().includes('redis.connection_lost'));
    server.thaw();
    await eventually('Redis answers again', () => events().at(-1) === 'redis.connected');
    assert.notEqual(await clientId(redis), before);
  });

  it('without a connection, a command rejects immediately', async (t) => {
    const { redis } = await connect(t, 'redis://127.0.0.1:1');
    await assert.rejects(redis.send(undefined, ['PING']));
    await eventually('the reason is known', () => redis.problem() !== undefined);
    assert.equal(redis.isReady(), false);
  });

  it('a subscription survives a restart of the server', async (t) => {
    const { redis, events } = await connect(t, server.url);
    const received: string[] = [];
    await redis.subscribe('news', (message) => received.push(message));
    await eventually('the subscription arrives', () => server.command('PUBLISH', 'news', 'one') === '1');
    await eventually('the first message arrives', () => received.at(-1) === 'one');
    await server.restart();
    await eventually(
      'the connection is back',
      () => events().filter((e) => e === 'redis.connected').length > 1,
    );
    await eventually('the subscription is back', () => server.command('PUBLISH', 'news', 'two') === '1');
    await eventually('the message arrives', () => received.at(-1) === 'two');
    assert.deepEqual(received, ['one', 'two']);
  });

  it('the text of a script is sent to a server that does not know it', async (t) => {
    const { redis } = await connect(t, server.url);
    await eventually('the connection is ready', redis.isReady);
    const script = createRedisScript("return {KEYS[1], ARGV[1], 'made by a test'}");
    for (const _ of [1, 2]) {
      assert.deepEqual(await redis.run(script, ['key'], ['parameter']), [
        'key',
        'parameter',
        'made by a test',
      ]);
      server.command('SCRIPT', 'FLUSH');
    }
  });

  it('closing waits for a frozen server no longer than its deadline', async (t) => {
    const { redis } = await connect(t, server.url);
    await eventually('the connection is ready', redis.isReady);
    server.freeze();
    t.after(server.thaw);
    const answer = redis.send(undefined, ['PING']).then(
      () => 'answered',
      () => 'rejected',
    );
    const startedAt = performance.now();
    await redis.close(50);
    assert.ok(performance.now() - startedAt < 1_000);
    assert.equal(await answer, 'rejected');
  });
});

const clientId = (redis: Redis) => redis.send(undefined, ['CLIENT', 'ID']);

it('without @redis/client, opening rejects with the npm install command', async (t) => {
  const folder = await mustMakeFolder(t);
  cpSync(join(import.meta.dirname, '..', '..', 'src'), join(folder, 'src'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const program = join(folder, 'redis-program.mjs');
  writeFileSync(
    program,
    `import { openRedis } from './src/redis/redis.ts';
     openRedis({ target: {}, name: 'test', log: {} }).catch((error) => console.log(error.name, error.message));`,
  );
  const argv = [...sourceArguments(folder), program];
  const { stdout, stderr } = spawnSync(process.execPath, argv, { cwd: folder, encoding: 'utf8' });
  const sentence =
    'StartError SECURITY_REDIS_ENABLED=true needs the package @redis/client: run `npm install @redis/client`, or remove the setting.\n';
  assert.equal(stdout, sentence, stderr);
});

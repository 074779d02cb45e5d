import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, beforeEach, describe, it, type TestContext } from 'node:test';
import * as z from 'zod';
import { createDeferred } from '../../src/concurrency/deferred.ts';
import { onlyRow, type Sql } from '../../src/db/sql.ts';
import type { BeforeCommit } from '../../src/db/transaction.ts';
import { AppError } from '../../src/errors.ts';
import type { Context, Layer } from '../../src/http/context.ts';
import { created, noContent, raw, reply as replyWith } from '../../src/http/reply.ts';
import { type Route, route } from '../../src/http/route.ts';
import type { Method } from '../../src/http/route-declaration.ts';
import type { IdempotencyStore } from '../../src/idempotency/idempotency-store.ts';
import { createIdempotencyStore } from '../../src/idempotency/postgres.ts';
import { contentValidation } from '../../src/middleware/content/content-validation.ts';
import { deadline } from '../../src/middleware/deadline.ts';
import { idempotency } from '../../src/middleware/idempotency.ts';
import { requestId } from '../../src/middleware/request-id.ts';
import { captureLog } from '../helpers/captured-log.ts';
import { eventually } from '../helpers/eventually.ts';
import type { RequestOptions } from '../helpers/http-client.ts';
import { mustStartServer, type TestServer } from '../helpers/http-server.ts';
import { mustConnect, mustOpenTestDatabase } from '../helpers/test-database.ts';
import { testRoute } from '../helpers/test-route.ts';

const database = await mustOpenTestDatabase({ after });
const { sql } = database;
await sql`create table orders (id int generated always as identity primary key, note text not null)`;

beforeEach(async () => {
  await sql`truncate idempotency_keys, orders restart identity`;
});

interface Order {
  readonly id: number;
  readonly note: string;
}

/** Hooks at points of the work, for tests that inject failures. */
interface Hooks {
  /** Runs in the transaction before the first write. */
  readonly atWork?: (ctx: Context) => Promise<void> | void;
  /** Runs in the transaction after the response was stored. */
  readonly beforeCommit?: () => Promise<void> | void;
  readonly afterCommit?: (ctx: Context) => Promise<void> | void;
}

function placeOrder({ atWork, beforeCommit, afterCommit }: Hooks = {}, method: Method = 'POST'): Route {
  const place = (ctx: Context, note: string, keep: BeforeCommit<Order> | undefined) =>
    database.transaction(async (tx) => {
      await atWork?.(ctx);
      const order = onlyRow(await tx<Order[]>`insert into orders (note) values (${note}) returning id, note`);
      await keep?.(tx, order);
      await beforeCommit?.();
      return order;
    });
  return route({
    method,
    path: '/orders',
    operationId: 'placeOrder',
    summary: 'Order something',
    tags: [],
    auth: 'none',
    idempotent: true,
    body: z.strictObject({ note: z.string().max(10) }),
    responses: { 201: { description: 'Ordered', schema: z.object({ id: z.int(), note: z.string() }) } },
    async handler({ ctx, body, recordReply }) {
      const reply = (order: Order) => created(order, `/orders/${order.id}`, { etag: '"v1"' });
      const order = await place(ctx, body.note, recordReply(reply));
      await afterCommit?.(ctx);
      return reply(order);
    },
  });
}

/** Sets the principal that the test names in a header. */
const signIn: Layer = {
  name: 'sign-in',
  run(ctx, next) {
    const userId = Number(ctx.request.headers['x-user']);
    if (userId > 0) {
      const role = 'user';
      ctx.principal = { kind: 'session', sessionId: 's', userId, username: 'ada', role };
    }
    return next(ctx);
  },
};

interface Options {
  readonly timeoutMs?: number;
  readonly from?: { readonly sql: Sql };
  readonly store?: IdempotencyStore;
  readonly outer?: readonly Layer[];
}

const createStore = (from: { readonly sql: Sql }) =>
  createIdempotencyStore({ database: from, leaseMs: 60_000, keepMs: 3_600_000 });

function start(t: TestContext, routes: Route | readonly Route[], options: Options = {}) {
  const { timeoutMs = 10_000, from = database, store = createStore(from), outer } = options;
  const captured = captureLog();
  const layers: Layer[] = [
    { name: 'request-id', run: requestId() },
    { name: 'deadline', run: deadline({ timeoutMs }) },
    ...(outer ?? [signIn, { name: 'content-validation', run: contentValidation() }]),
    { name: 'idempotency', run: idempotency({ store, log: captured.log }) },
  ];
  return mustStartServer(t, { captured, layers, routes: [routes].flat() });
}

/** Builds an order with its own key. */
const newOrder = (
  of: Partial<RequestOptions> = {},
  headers: Record<string, string> = {},
): RequestOptions => ({
  method: 'POST',
  path: '/orders',
  body: '{"note":"tea"}',
  ...of,
  headers: { 'content-type': 'application/json', 'idempotency-key': `"${randomUUID()}"`, ...headers },
});

async function orders(): Promise<Order[]> {
  return [...(await sql<Order[]>`select id, note from orders order by id`)];
}

const keysKept = async () => {
  const rows = await sql<{ state: string }[]>`select state from idempotency_keys`;
  return rows.map(({ state }) => state);
};

async function assertReplays(server: TestServer, order: RequestOptions): Promise<void> {
  const { status, headers, text } = await server.request(order);
  assert.deepEqual(
    [status, text, headers['content-type'], headers.location, headers.etag, headers['idempotency-replayed']],
    [201, '{"id":1,"note":"tea"}', 'application/json', '/orders/1', '"v1"', 'true'],
  );
  assert.deepEqual(await orders(), [{ id: 1, note: 'tea' }]);
}

describe('a request with a key', () => {
  it('a request with a key is answered normally the first time, and with the same response when it is repeated', async (t) => {
    const server = await start(t, placeOrder());
    const order = newOrder();
    const first = await server.request(order);
    assert.deepEqual([first.status, first.text], [201, '{"id":1,"note":"tea"}']);
    assert.deepEqual([first.headers.location, first.headers.etag], ['/orders/1', '"v1"']);
    assert.equal(first.headers['idempotency-replayed'], undefined);
    await assertReplays(server, order);
    const [line] = server.log.of('idempotency.replayed');
    assert.deepEqual([line?.method, line?.path], ['POST', '/orders']);
  });

  it('a request sent 50 times in parallel has one effect, and every response is that of the effect, or 409', async (t) => {
    const server = await start(t, placeOrder());
    const order = newOrder();
    const answers = await Promise.all(Array.from({ length: 50 }, () => server.request(order)));
    assert.equal((await orders()).length, 1);
    for (const { status, text, json } of answers) {
      if (status === 201) assert.equal(text, '{"id":1,"note":"tea"}');
      else assert.deepEqual([status, json.code], [409, 'idempotency_running']);
    }
    const fresh = answers.filter(
      ({ status, headers }) => status === 201 && headers['idempotency-replayed'] === undefined,
    );
    assert.equal(fresh.length, 1);
    await assertReplays(server, order);
  });

  it('a repeated request gets 409 with Retry-After while the first one runs, and the replay afterwards', async (t) => {
    const reached = createDeferred();
    const goOn = createDeferred();
    const atWork = () => {
      reached.resolve();
      return goOn.promise;
    };
    const server = await start(t, placeOrder({ atWork }));
    const order = newOrder();
    const first = server.request(order);
    await reached.promise;
    const second = await server.request(order);
    assert.deepEqual(
      [second.status, second.json.code, second.json.layer, second.headers['retry-after']],
      [409, 'idempotency_running', 'idempotency', '1'],
    );
    goOn.resolve();
    assert.equal((await first).status, 201);
    await assertReplays(server, order);
  });

  for (const [what, other] of [
    ['body', { body: '{"note":"milk"}' }],
    ['query', { path: '/orders?a=1' }],
    ['method', { method: 'PATCH' }],
    ['condition', { headers: { 'if-match': '"7"' } }],
  ] as const) {
    it(`a request gets 422 if its key was used with another ${what}`, async (t) => {
      const server = await start(t, [placeOrder(), placeOrder({}, 'PATCH')]);
      const order = newOrder();
      await server.request(order);
      const headers = { ...order.headers, ...('headers' in other && other.headers) };
      const { status, json } = await server.request({ ...order, ...other, headers });
      assert.deepEqual([status, json.code, json.layer], [422, 'idempotency_mismatch', 'idempotency']);
      await assertReplays(server, order);
    });
  }

  it('the same key of another user, or of an anonymous client, is a different key', async (t) => {
    const server = await start(t, placeOrder());
    const key = { 'idempotency-key': 'the-same-for-everybody' };
    const callers = [{}, { 'x-user': '1' }, { 'x-user': '2' }];
    for (const caller of callers) {
      for (const replayed of [undefined, 'true']) {
        const { status, headers } = await server.request(newOrder({}, { ...key, ...caller }));
        assert.deepEqual([status, headers['idempotency-replayed']], [201, replayed]);
      }
    }
    assert.equal((await orders()).length, callers.length);
  });

  it('a request with an invalid key gets 400 and is not executed', async (t) => {
    const server = await start(t, placeOrder());
    for (const key of ['', '""', 'a b', 'k'.repeat(256), '"a", "b"']) {
      const { status, json } = await server.request(newOrder({}, { 'idempotency-key': key }));
      assert.deepEqual([status, json.code, json.layer], [400, 'bad_request', 'idempotency'], key);
    }
    assert.deepEqual(await orders(), []);
  });

  it('an anonymous request with a key that is easy to guess gets 400', async (t) => {
    const server = await start(t, placeOrder());
    const short = { 'idempotency-key': `"${'k'.repeat(15)}"` };
    const { status, json } = await server.request(newOrder({}, short));
    assert.deepEqual([status, json.code, json.layer], [400, 'bad_request', 'idempotency']);
    assert.match(json.detail, /at least 16 characters/);
    assert.deepEqual(await orders(), []);
    for (const headers of [{ ...short, 'x-user': '1' }, { 'idempotency-key': 'k'.repeat(16) }]) {
      assert.equal((await server.request(newOrder({}, headers))).status, 201);
    }
  });

  it('a request with a key gets 503 without a database', async (t) => {
    const server = await start(t, placeOrder(), { from: mustConnect(t, { url: null }) });
    const { status, json } = await server.request(newOrder());
    assert.deepEqual([status, json.code], [503, 'database_disabled']);
    assert.deepEqual(await orders(), []);
  });

  it('a response without a body is replayed', async (t) => {
    let done = 0;
    const route = testRoute(
      'POST',
      '/orders',
      async ({ recordReply }) => {
        await database.transaction(async (tx) => {
          done += 1;
          await recordReply(() => noContent({ etag: '"v2"' }))?.(tx, undefined);
        });
        return noContent();
      },
      { idempotent: true, responses: { 204: { description: 'Done' } } },
    );
    const server = await start(t, route);
    const order = newOrder({ body: '' });
    for (let time = 0; time < 2; time += 1) {
      const { status, headers, text } = await server.request(order);
      assert.deepEqual([status, headers.etag, text], [204, '"v2"', '']);
    }
    assert.equal(done, 1);
  });

  it('requests are compared by their body even if no other layer has read it', async (t) => {
    const server = await start(t, placeOrder(), { outer: [] });
    const order = newOrder();
    assert.equal((await server.request(order)).status, 201);
    assert.equal((await server.request({ ...order, body: '{"note":"milk"}' })).status, 422);
    await assertReplays(server, order);
  });
});

describe('an ignored key', () => {
  it('requests without a key are all executed', async (t) => {
    const server = await start(t, placeOrder());
    const order = { method: 'POST', path: '/orders', body: '{"note":"tea"}' };
    for (let time = 0; time < 2; time += 1) {
      const headers = { 'content-type': 'application/json' };
      assert.equal((await server.request({ ...order, headers })).status, 201);
    }
    assert.deepEqual([(await orders()).length, await keysKept()], [2, []]);
  });

  it('the key is ignored on routes that are not idempotent, and with OPTIONS', async (t) => {
    const plain = testRoute('POST', '/orders', () => 1);
    const server = await start(t, [plain, testRoute('GET', '/orders', () => 1)]);
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST']) {
      const headers = { 'idempotency-key': 'no key' };
      const { status } = await server.request({ method, path: '/orders', headers });
      assert.ok(status < 300, `${method}: ${status}`);
    }
    assert.deepEqual(await keysKept(), []);
  });
});

describe('a request without effect', () => {
  const failure = new AppError('conflict', 'There is no tea.');

  it('a request that the handler rejects can be repeated, even with another body', async (t) => {
    let isFailing = true;
    const atWork = () => {
      if (isFailing) throw failure;
    };
    const server = await start(t, placeOrder({ atWork }));
    const order = newOrder();
    assert.equal((await server.request({ ...order, body: '{"note":"coffee"}' })).json.code, 'conflict');
    assert.deepEqual(await keysKept(), []);
    isFailing = false;
    assert.equal((await server.request(order)).status, 201);
    await assertReplays(server, order);
  });

  it('a request with an invalid body can be corrected under the same key', async (t) => {
    const server = await start(t, placeOrder());
    const order = newOrder();
    const wrong = await server.request({ ...order, body: '{"note":"a note too long"}' });
    assert.deepEqual([wrong.status, wrong.json.code], [422, 'validation_failed']);
    assert.equal((await server.request(order)).status, 201);
  });

  it('a transaction that fails after the response was stored leaves neither the effect nor the response', async (t) => {
    let fails = true;
    const beforeCommit = () => {
      if (fails) throw failure;
    };
    const server = await start(t, placeOrder({ beforeCommit }));
    const order = newOrder();
    assert.equal((await server.request(order)).status, 409);
    assert.deepEqual([await orders(), await keysKept()], [[], []]);
    fails = false;
    assert.equal((await server.request(order)).status, 201);
  });

  it('the key of a request is released when its deadline passes', async (t) => {
    const atWork = (ctx: Context) =>
      new Promise<void>((resolve) => ctx.abortSource.addEventListener('abort', () => resolve()));
    const server = await start(t, placeOrder({ atWork }), { timeoutMs: 100 });
    assert.equal((await server.request(newOrder())).json.code, 'deadline_exceeded');
    await eventually('the key is given back', async () => (await keysKept()).length === 0);
    assert.deepEqual(await orders(), []);
  });

  it('a connection that breaks while the key is claimed leaves the key free', async (t) => {
    const store = createStore(database);
    const begin: IdempotencyStore['begin'] = async (claim) => {
      assert.equal((await store.begin(claim)).kind, 'started');
      throw new AppError('database_unavailable', 'The answer of the database was lost.');
    };
    const server = await start(t, placeOrder(), { store: { ...store, begin } });
    assert.equal((await server.request(newOrder())).status, 503);
    assert.deepEqual([await orders(), await keysKept()], [[], []]);
  });

  it('an error response of the handler is not stored', async (t) => {
    const reject = testRoute('POST', '/orders', () => replyWith(409, 'no tea'), {
      idempotent: true,
      responses: { 409: { description: 'No', schema: z.string() } },
    });
    const server = await start(t, reject);
    assert.equal((await server.request(newOrder({ body: '' }))).status, 409);
    assert.deepEqual(await keysKept(), []);
  });

  it('a key that cannot be released is logged, and the client gets the original error', async (t) => {
    const connection = mustConnect(t, { url: database.url });
    const atWork = async () => {
      await connection.close(1);
      throw failure;
    };
    const server = await start(t, placeOrder({ atWork }), { from: connection });
    assert.equal((await server.request(newOrder())).json.code, 'conflict');
    const [line] = server.log.of('idempotency.release_failed');
    assert.equal(line?.scope, 'anonymous');
    assert.deepEqual(await keysKept(), ['running']);
  });
});

describe('a request whose response was lost', () => {
  it('a client that disconnected after the commit gets the response when it repeats the request', async (t) => {
    let lost = false;
    const afterCommit = (ctx: Context) => {
      if (lost) return;
      lost = true;
      ctx.request.socket.destroy();
    };
    const server = await start(t, placeOrder({ afterCommit }));
    const order = newOrder();
    await assert.rejects(server.request(order));
    await assertReplays(server, order);
  });

  it('a handler that failed after the commit does not prevent the replay', async (t) => {
    const afterCommit = () => {
      throw new Error('after the commit');
    };
    const server = await start(t, placeOrder({ afterCommit }));
    const order = newOrder();
    assert.equal((await server.request(order)).status, 500);
    await assertReplays(server, order);
  });
});

describe('a request whose process died', () => {
  const leaseEnds = () => sql`update idempotency_keys set expires_at = now()`;

  it('a request whose process stopped is executed by the next one after the lease, and rolled back in the first process', async (t) => {
    const asleep = createDeferred();
    const awake = createDeferred();
    const atWork = () => {
      asleep.resolve();
      return awake.promise;
    };
    const sleeper = await start(t, placeOrder({ atWork }));
    const server = await start(t, placeOrder());
    const order = newOrder();
    const slept = sleeper.request(order);
    await asleep.promise;
    assert.equal((await server.request(order)).status, 409);
    await leaseEnds();
    assert.equal((await server.request(order)).status, 201);

    awake.resolve();
    const { status, json } = await slept;
    assert.deepEqual([status, json.code], [409, 'idempotency_running']);
    assert.equal(sleeper.log.of('idempotency.fenced').length, 1);
    await assertReplays(server, order);
  });
});

describe('a handler', () => {
  it('a handler that does not record its reply is logged as an error', async (t) => {
    const forgetful = testRoute('POST', '/orders', () => 'done', { idempotent: true });
    const server = await start(t, forgetful);
    const { status, json } = await server.request(newOrder({ body: '' }));
    assert.deepEqual([status, json.code], [500, 'internal']);
    assert.match(server.log.text(), /The handler of POST \/orders did its work without recording its reply/);
    assert.deepEqual(await keysKept(), []);
  });

  it('a handler that records an error response or binary content fails, and its effect is rolled back', async (t) => {
    const bytes = new Uint8Array([1, 2]);
    for (const unfit of [replyWith(404, 'none'), raw(bytes, 'application/octet-stream')]) {
      const handler: Route['handler'] = ({ recordReply }) =>
        database.transaction(async (tx) => {
          await tx`insert into orders (note) values ('tea')`;
          await recordReply(() => unfit)?.(tx, undefined);
        });
      const responses = { 404: { description: '', schema: z.string() } };
      const server = await start(t, testRoute('POST', '/orders', handler, { idempotent: true, responses }));
      assert.equal((await server.request(newOrder({ body: '' }))).status, 500);
      assert.match(server.log.text(), /Only a success with a text body/);
      assert.deepEqual(await orders(), []);
    }
  });
});

it('no log line contains the key', async (t) => {
  const server = await start(t, placeOrder());
  const order = newOrder({}, { 'idempotency-key': 'a-key-that-nobody-else-needs' });
  await server.request(order);
  await server.request({ ...order, body: '{"note":"milk"}' });
  await assertReplays(server, order);
  assert.ok(!server.log.text().includes('a-key-that'));
});

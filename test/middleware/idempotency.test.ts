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
import { contentValidation } from '../../src/middleware/content-validation.ts';
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

/** What happens at the points of the work that a test is about. */
interface Hooks {
  /** In the transaction, before anything is written. */
  readonly atWork?: (ctx: Context) => Promise<void> | void;
  /** In the transaction, after the answer was stored. */
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

/** Signs in whoever the test says, by a header of its own. */
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

/** An order with a key of its own. */
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
  it('is answered like any other the first time, and with the same answer when it is sent again', async (t) => {
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

  it('makes one row when it is sent 50 times at once, and every answer is that of the row, or 409', async (t) => {
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

  it('is 409 with Retry-After while the first one runs, and is replayed once that is done', async (t) => {
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
    it(`is 422 when the key came with another ${what} before`, async (t) => {
      const server = await start(t, [placeOrder(), placeOrder({}, 'PATCH')]);
      const order = newOrder();
      await server.request(order);
      const headers = { ...order.headers, ...('headers' in other && other.headers) };
      const { status, json } = await server.request({ ...order, ...other, headers });
      assert.deepEqual([status, json.code, json.layer], [422, 'idempotency_mismatch', 'idempotency']);
      await assertReplays(server, order);
    });
  }

  it('is another one for another user, and for somebody who has not signed in', async (t) => {
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

  it('is refused with 400 when the key is none, and is not done', async (t) => {
    const server = await start(t, placeOrder());
    for (const key of ['', '""', 'a b', 'k'.repeat(256), '"a", "b"']) {
      const { status, json } = await server.request(newOrder({}, { 'idempotency-key': key }));
      assert.deepEqual([status, json.code, json.layer], [400, 'bad_request', 'idempotency'], key);
    }
    assert.deepEqual(await orders(), []);
  });

  it('is refused with 400 when somebody could guess the key who has not signed in either', async (t) => {
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

  it('is 503 without a database', async (t) => {
    const server = await start(t, placeOrder(), { from: mustConnect(t, { url: null }) });
    const { status, json } = await server.request(newOrder());
    assert.deepEqual([status, json.code], [503, 'database_disabled']);
    assert.deepEqual(await orders(), []);
  });

  it('may have an answer without a body', async (t) => {
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

  it('is compared by its body also when no other layer has read that', async (t) => {
    const server = await start(t, placeOrder(), { outer: [] });
    const order = newOrder();
    assert.equal((await server.request(order)).status, 201);
    assert.equal((await server.request({ ...order, body: '{"note":"milk"}' })).status, 422);
    await assertReplays(server, order);
  });
});

describe('the key is not looked at', () => {
  it('when there is none: every request is done', async (t) => {
    const server = await start(t, placeOrder());
    const order = { method: 'POST', path: '/orders', body: '{"note":"tea"}' };
    for (let time = 0; time < 2; time += 1) {
      const headers = { 'content-type': 'application/json' };
      assert.equal((await server.request({ ...order, headers })).status, 201);
    }
    assert.deepEqual([(await orders()).length, await keysKept()], [2, []]);
  });

  it('on routes that do not ask for it, and by OPTIONS', async (t) => {
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

describe('a request that is not done', () => {
  const failure = new AppError('conflict', 'There is no tea.');

  it('because the handler refuses can be sent again, with another body too', async (t) => {
    let refuses = true;
    const atWork = () => {
      if (refuses) throw failure;
    };
    const server = await start(t, placeOrder({ atWork }));
    const order = newOrder();
    assert.equal((await server.request({ ...order, body: '{"note":"coffee"}' })).json.code, 'conflict');
    assert.deepEqual(await keysKept(), []);
    refuses = false;
    assert.equal((await server.request(order)).status, 201);
    await assertReplays(server, order);
  });

  it('because its body is wrong can be corrected under the same key', async (t) => {
    const server = await start(t, placeOrder());
    const order = newOrder();
    const wrong = await server.request({ ...order, body: '{"note":"a note too long"}' });
    assert.deepEqual([wrong.status, wrong.json.code], [422, 'validation_failed']);
    assert.equal((await server.request(order)).status, 201);
  });

  it('because the transaction fails after the answer was stored leaves neither', async (t) => {
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

  it('because the deadline passed is given back, outside of the request that has ended', async (t) => {
    const atWork = (ctx: Context) =>
      new Promise<void>((resolve) => ctx.abortSource.addEventListener('abort', () => resolve()));
    const server = await start(t, placeOrder({ atWork }), { timeoutMs: 100 });
    assert.equal((await server.request(newOrder())).json.code, 'deadline_exceeded');
    await eventually('the key is given back', async () => (await keysKept()).length === 0);
    assert.deepEqual(await orders(), []);
  });

  it('because the connection broke when the key was taken leaves the key free', async (t) => {
    const store = createStore(database);
    const begin: IdempotencyStore['begin'] = async (claim) => {
      assert.equal((await store.begin(claim)).kind, 'started');
      throw new AppError('database_unavailable', 'The answer of the database was lost.');
    };
    const server = await start(t, placeOrder(), { store: { ...store, begin } });
    assert.equal((await server.request(newOrder())).status, 503);
    assert.deepEqual([await orders(), await keysKept()], [[], []]);
  });

  it('because the handler answers with a refusal is not kept', async (t) => {
    const refuse = testRoute('POST', '/orders', () => replyWith(409, 'no tea'), {
      idempotent: true,
      responses: { 409: { description: 'No', schema: z.string() } },
    });
    const server = await start(t, refuse);
    assert.equal((await server.request(newOrder({ body: '' }))).status, 409);
    assert.deepEqual(await keysKept(), []);
  });

  it('because the key could not be given back says so in the log, and is answered with what went wrong', async (t) => {
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

describe('a request whose answer was lost', () => {
  it('because the client had gone after the commit gets it when it comes again', async (t) => {
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

  it('because the handler failed after the commit gets it when it comes again', async (t) => {
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

  it('is done by the next one when the lease has ended, and undone where it wakes up', async (t) => {
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
  it('that does its work without recording its reply is a fault that the log names', async (t) => {
    const forgetful = testRoute('POST', '/orders', () => 'done', { idempotent: true });
    const server = await start(t, forgetful);
    const { status, json } = await server.request(newOrder({ body: '' }));
    assert.deepEqual([status, json.code], [500, 'internal']);
    assert.match(server.log.text(), /The handler of POST \/orders did its work without recording its reply/);
    assert.deepEqual(await keysKept(), []);
  });

  it('that would keep a refusal, or what is no text, is a fault, and its effect is rolled back', async (t) => {
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

it('no line of the log has the key', async (t) => {
  const server = await start(t, placeOrder());
  const order = newOrder({}, { 'idempotency-key': 'a-key-that-nobody-else-needs' });
  await server.request(order);
  await server.request({ ...order, body: '{"note":"milk"}' });
  await assertReplays(server, order);
  assert.ok(!server.log.text().includes('a-key-that'));
});

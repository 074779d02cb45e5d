/**
 * The pipeline against koa-compose: ten layers that do nothing but call the next one. Where none of them waits, the
 * compiler can make a single function of ours; layers that do something leave it less of that.
 */

import assert from 'node:assert/strict';
import koaCompose from 'koa-compose';
import { compose } from '../../src/http/compose.ts';
import { compare } from './timing.mjs';

const names = Array.from({ length: 10 }, (_, depth) => `layer-${depth}`);
const ctx = { ends: 0 };
function end(context) {
  context.ends += 1;
}

const ours = {
  sync: compose(
    names.map((name) => ({ name, run: (context, next) => next(context) })),
    end,
  ),
  async: compose(
    names.map((name) => ({
      name,
      async run(context, next) {
        await next(context);
      },
    })),
    end,
  ),
};
const koa = {
  sync: koaCompose([...names.map(() => (_context, next) => next()), end]),
  async: koaCompose([
    ...names.map(() => async (_context, next) => {
      await next();
    }),
    end,
  ]),
};

await Promise.all([ours, koa].flatMap(({ sync, async }) => [sync(ctx), async(ctx)]));
assert.equal(ctx.ends, 4);
assert.equal(ours.sync(ctx), undefined);

// A function made by koa-compose always returns a promise, which must be awaited.
await compare('compose', [
  { question: '10 layers that return at once', name: 'Strata', ours: true, call: () => ours.sync(ctx) },
  { question: '10 layers that return at once', name: 'koa-compose', call: () => koa.sync(ctx), waits: true },
]);
await compare('compose', [
  { question: '10 async layers', name: 'Strata', ours: true, call: () => ours.async(ctx), waits: true },
  { question: '10 async layers', name: 'koa-compose', call: () => koa.async(ctx), waits: true },
]);

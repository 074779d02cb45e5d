import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { after, compose, observe } from '../../src/http/compose.ts';
import type { Layer, Middleware } from '../../src/http/context.ts';
import { makeContext } from '../helpers/context.ts';

const layer = (name: string, run: Middleware): Layer => ({ name, run });

/** A layer that records when it is entered and left. */
const noting = (name: string, notes: string[]): Layer =>
  layer(name, (ctx, next) => {
    notes.push(`${name} in`);
    const done = next(ctx);
    const left = () => void notes.push(`${name} out`);
    if (done !== undefined) return done.then(left);
    left();
    return undefined;
  });

const later = () => new Promise<void>((resolve) => setImmediate(resolve));

for (const timed of [false, true]) {
  describe(`a pipeline composed with timed ${timed}`, () => {
    it('a pipeline runs its first layer outermost and the handler innermost', () => {
      const notes: string[] = [];
      const run = compose([noting('a', notes), noting('b', notes)], () => void notes.push('end'), { timed });
      assert.equal(run(makeContext()), undefined);
      assert.deepEqual(notes, ['a in', 'b in', 'end', 'b out', 'a out']);
    });

    it('a pipeline with an asynchronous handler runs the layers in the same order', async () => {
      const notes: string[] = [];
      const run = compose(
        [noting('a', notes), noting('b', notes)],
        () => later().then(() => void notes.push('end')),
        { timed },
      );
      await run(makeContext());
      assert.deepEqual(notes, ['a in', 'b in', 'end', 'b out', 'a out']);
    });

    it('a pipeline without layers runs the handler alone', () => {
      const ctx = makeContext();
      compose([], (same) => void same.reply(204, undefined), { timed })(ctx);
      assert.equal(ctx.status, 204);
    });

    it('a pipeline in which no layer waits creates no promise', () => {
      const pass = layer('pass', (ctx, next) => next(ctx));
      assert.equal(compose([pass, pass], () => undefined, { timed })(makeContext()), undefined);
    });

    it('a layer that does not call next keeps inner layers from running', () => {
      const notes: string[] = [];
      const stop = layer('stop', () => undefined);
      compose([noting('a', notes), stop, noting('c', notes)], () => void notes.push('end'), { timed })(
        makeContext(),
      );
      assert.deepEqual(notes, ['a in', 'a out']);
    });

    it('an error of the handler reaches the outer layers', async () => {
      const caught: string[] = [];
      const net = layer('net', (ctx, next) => {
        try {
          return next(ctx)?.catch((error: Error) => void caught.push(error.message));
        } catch (error) {
          caught.push(error instanceof Error ? `at once: ${error.message}` : '');
          return undefined;
        }
      });
      const fail = new Error('broken');
      compose([net], () => assert.fail(fail), { timed })(makeContext());
      await compose([net], () => Promise.reject(fail), { timed })(makeContext());
      assert.deepEqual(caught, ['at once: broken', 'broken']);
    });

    it('concurrent requests in one pipeline keep their own order of layers', async () => {
      const seen: [number, number][] = [];
      const wait = layer('wait', (ctx, next) => later().then(() => next(ctx)));
      const run = compose([wait], (ctx) => void seen.push([ctx.status, seen.length]), { timed });
      const contexts = [1, 2, 3].map((status) => Object.assign(makeContext(), { status }));
      await Promise.all(contexts.map(run));
      assert.deepEqual(seen, [
        [1, 0],
        [2, 1],
        [3, 2],
      ]);
    });
  });
}

describe('a timed pipeline', () => {
  it('a timed pipeline records the duration of each layer that ran, the innermost first', async () => {
    const pass = (name: string) => layer(name, (ctx, next) => next(ctx));
    const ctx = makeContext();
    await compose([pass('a'), pass('b'), layer('c', () => later()), pass('d')], () => undefined, {
      timed: true,
    })(ctx);
    assert.deepEqual(
      ctx.times.map(({ name, depth }) => [name, depth]),
      [
        ['c', 2],
        ['b', 1],
        ['a', 0],
      ],
    );
    assert.ok(ctx.times.every(({ duration }) => duration >= 0));
  });

  it('a timed pipeline records the duration of its end as that of the handler', async () => {
    const ctx = makeContext();
    await compose([layer('a', (same, next) => next(same))], () => later(), { timed: true })(ctx);
    assert.deepEqual(
      ctx.times.map(({ name, depth }) => [name, depth]),
      [
        ['handler', 1],
        ['a', 0],
      ],
    );
  });

  it('a timed pipeline records the duration of a layer that throws or rejects', async () => {
    const ctx = makeContext();
    const fail = layer('fail', () => assert.fail('broken'));
    assert.throws(() => compose([fail], () => undefined, { timed: true })(ctx), /broken/);
    const reject = layer('reject', () => Promise.reject(new Error('broken')));
    await assert.rejects(async () => compose([reject], () => undefined, { timed: true })(ctx), /broken/);
    assert.deepEqual(
      ctx.times.map(({ name }) => name),
      ['fail', 'reject'],
    );
  });

  it('a timed pipeline throws an error with the name of a layer that calls next twice', () => {
    const notes: string[] = [];
    const twice = layer('twice', (ctx, next) => {
      void next(ctx);
      return next(ctx);
    });
    const run = compose([twice], () => void notes.push('end'), { timed: true });
    assert.throws(() => run(makeContext()), /The layer "twice" called next twice\./);
    assert.deepEqual(notes, ['end']);
  });
});

describe('after', () => {
  it('after calls the function at once with a value', () => {
    const seen: unknown[] = [];
    assert.equal(
      after('now', (value) => void seen.push(value)),
      undefined,
    );
    assert.deepEqual(seen, ['now']);
  });

  it('after calls the function when a promise of the value resolves', async () => {
    const seen: unknown[] = [];
    const done = after(Promise.resolve('later'), (value) => void seen.push(value));
    assert.deepEqual(seen, []);
    await done;
    assert.deepEqual(seen, ['later']);
  });

  it('after() calls its third argument if the promise rejects, but not if the function throws', async () => {
    const translate = (): never => {
      throw new Error('translated');
    };
    const unused = () => assert.fail('The function must not run.');
    await assert.rejects(async () => after(Promise.reject(new Error('first')), unused, translate), {
      message: 'translated',
    });
    const failing = (): never => {
      throw new Error('own');
    };
    await assert.rejects(async () => after(Promise.resolve(), failing, translate), { message: 'own' });
  });
});

describe('observe', () => {
  it('observe reports success once, whether the pipeline waits or not', async () => {
    const seen: unknown[] = [];
    assert.equal(
      observe(
        makeContext(),
        () => undefined,
        (failure) => void seen.push(failure),
      ),
      undefined,
    );
    await observe(makeContext(), later, (failure) => void seen.push(failure));
    assert.deepEqual(seen, [undefined, undefined]);
  });

  it('observe reports the error of a pipeline, which then reaches the outer layers', async () => {
    const broken = new Error('broken');
    for (const run of [() => assert.fail(broken), () => Promise.reject(broken)]) {
      const seen: unknown[] = [];
      await assert.rejects(
        async () => observe(makeContext(), run, (failure) => void seen.push(failure)),
        broken,
      );
      assert.deepEqual(seen, [{ error: broken }]);
    }
  });
});

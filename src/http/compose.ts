import type { Context, Done, Layer, Next } from './context.ts';

/**
 * Makes one function of many layers: index 0 is the outermost, the first to see the request and the last to
 * see the answer; `last` is what the innermost layer calls.
 *
 * The chain is linked once, here, and not once a request: `next` gets the context handed in, so no closure is
 * made while requests run, and a pipeline in which nobody waits returns undefined without having made a promise.
 *
 * With `timed`, every layer's duration is noted in `ctx.times`, and that of `last` as `handler`, and a layer that calls `next` twice is an error.
 */
export function compose(
  layers: readonly Layer[],
  last: Next,
  options: { readonly timed?: boolean } = {},
): Next {
  return layers.reduceRight<Next>(
    (next, layer, depth) => {
      const { run } = layer;
      return options.timed ? timedLayer(layer, depth, next) : (ctx) => run(ctx, next);
    },
    options.timed ? timedLayer({ name: 'handler', run: last }, layers.length, last) : last,
  );
}

/**
 * Calls `then` with a value: at once if it is there, when the promise resolves if it is a promise. So a layer is written
 * once and still makes no promise where it need not wait, which costs it about 3 ns:
 *
 *     return after(next(ctx), () => compress(ctx));
 *     return after(store.take(limit, key), (decision) => …);
 *
 * `rejected` gets the error of a promise that rejects, and must throw.
 */
export function after<Value>(
  value: Value | Promise<Value>,
  then: (value: Value) => Done,
  rejected?: (error: unknown) => never,
): Done {
  return value instanceof Promise ? value.then(then, rejected) : then(value);
}

/** The error that the rest of the pipeline threw or rejected with. */
export interface Failure {
  readonly error: unknown;
}

/**
 * Runs the rest of the pipeline and then calls `finished`, with the failure if it has failed. The outcome is unchanged: a
 * failure goes on to the layers outside.
 */
export function observe(ctx: Context, next: Next, finished: (failure?: Failure) => void): Done {
  const failed = (error: unknown): never => {
    finished({ error });
    throw error;
  };
  let done: Done;
  try {
    done = next(ctx);
  } catch (error) {
    return failed(error);
  }
  return after<void>(done, () => void finished(), failed);
}

function timedLayer(layer: Layer, depth: number, next: Next): Next {
  return function timed(ctx: Context): Done {
    const startedAt = performance.now();
    let called = false;
    const nextOnce: Next = (same) => {
      if (called) throw new Error(`The layer "${layer.name}" called next twice.`);
      called = true;
      return next(same);
    };
    return observe(
      ctx,
      (same) => layer.run(same, nextOnce),
      () => {
        ctx.times.push({ name: layer.name, depth, duration: performance.now() - startedAt });
      },
    );
  };
}

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

function timedLayer(layer: Layer, depth: number, next: Next): Next {
  return function timed(ctx: Context): Done {
    const startedAt = performance.now();
    let called = false;
    const nextOnce: Next = (same) => {
      if (called) throw new Error(`The layer "${layer.name}" called next twice.`);
      called = true;
      return next(same);
    };
    const note = () => {
      ctx.times.push({ name: layer.name, depth, duration: performance.now() - startedAt });
    };
    let done: Done;
    try {
      done = layer.run(ctx, nextOnce);
    } catch (error) {
      note();
      throw error;
    }
    if (done === undefined) {
      note();
      return undefined;
    }
    return done.finally(note);
  };
}

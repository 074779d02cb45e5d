/**
 * The timing of small operations. The operations of one comparison are measured in turns, in one process:
 *
 *     warm up A  B  C ...      until a batch takes long enough for the clock
 *     round 1:  A  B  C ...    one batch each; its time over its calls is the figure of the round
 *     round 2:  A  B  C ...
 *
 * A figure is the processor time of the process with all its threads, as for the servers, so other processes on the same
 * processor do not count. Input that each call needs fresh, such as a path, can be measured separately and is then
 * subtracted, round by round. Figures go to the parent as a message, because standard output may be under measurement.
 */

const warmUpBatches = 3;

const rounds = Number(process.env.BENCH_ROUNDS ?? 5);
const batchMs = Number(process.env.BENCH_BATCH_MS ?? 100);

/**
 * Measures contestants in turns and reports them. A contestant is { question, name, ours?, call, waits?, overhead? }:
 * `call` gets the number of the call; with `waits` its promise is awaited; `overhead` is a call whose time is taken off.
 * `per` is how often one call does what is asked about.
 */
export async function compare(bench, contestants, { per = 1 } = {}) {
  const entries = [];
  for (const { call, waits = false, overhead, ...labels } of contestants) {
    const extra = overhead === undefined ? undefined : await warmUp(makeLoop(overhead, false));
    entries.push({ run: await warmUp(makeLoop(call, waits)), extra, labels, figures: [] });
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const { run, extra, figures } of entries) {
      const taken = await nanosOf(run);
      figures.push((taken - (extra === undefined ? 0 : await nanosOf(extra))) / per);
    }
  }
  for (const { labels, figures } of entries) {
    const { question, name, ours = false } = labels;
    process.send?.({ bench, question, name, ours, unit: 'ns', figures });
  }
}

async function nanosOf({ loop, calls }) {
  return ((await time(loop, calls)) * 1e6) / calls;
}

/** Calls as often as takes about `batchMs`, known once the compiler has seen enough of them. */
async function warmUp(loop) {
  let calls = 1;
  let taken = await time(loop, calls);
  while (taken < batchMs / 2) {
    calls *= 2;
    taken = await time(loop, calls);
  }
  for (let batch = 0; batch < warmUpBatches; batch += 1) taken = await time(loop, calls);
  return { loop, calls: Math.max(1, Math.round((calls * batchMs) / taken)) };
}

/** Milliseconds of processor time. */
async function time(loop, calls) {
  const before = process.cpuUsage();
  const done = loop(calls);
  if (done instanceof Promise) await done;
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/**
 * A loop of its own for each contestant, made of text: in a loop that all of them share, the compiler would see many
 * different calls in one place and inline none. The last result is kept, so that no call is without effect.
 */
function makeLoop(call, waits) {
  const body = `return ${waits ? 'async ' : ''}function loop(calls) {
    let last;
    for (let i = 0; i < calls; i += 1) last = ${waits ? 'await ' : ''}call(i);
    sink.last = last;
  }`;
  return new Function('call', 'sink', body)(call, sink);
}

const sink = { last: undefined };

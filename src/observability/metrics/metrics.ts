/**
 * Numbers that a process keeps of itself. A family has a name, a kind and labels; a series is one set of label values
 * in it, and what is counted. Whoever counts asks for its series once and keeps it, so that to count is to add to a
 * number: nothing is looked up, joined or allocated.
 *
 *     counter    only grows: requests, events, seconds of CPU time
 *     gauge      goes up and down: bytes in use, connections
 *     histogram  observations in buckets, with their sum: durations, sizes
 *
 * A snapshot is plain JSON, so that a worker can send it to its primary, and `merge-metrics.ts` makes one of many by
 * adding them up. What must not be added up over workers, such as the memory of each, is a gauge `perWorker`:
 * it has the label `worker` with the name of its process.
 *
 * It keeps every series for good: label values come from the code (a route's template, a status, the name of a limit),
 * never from a request.
 */

export type MetricKind = 'counter' | 'gauge' | 'histogram';

/** One family with its series at one moment: plain JSON. */
export interface MetricFamily {
  /** In the style of Prometheus: snake_case, with the base unit, counters with `_total`. */
  readonly name: string;
  /** What is counted, as a sentence for the operator. */
  readonly help: string;
  readonly kind: MetricKind;
  /** The names of the labels; the values of each series stand in the same order. */
  readonly labels: readonly string[];
  /** Of a histogram: the upper bounds of its buckets, inclusive and ascending, without the last one, +Inf. */
  readonly bounds: readonly number[];
  readonly series: readonly SeriesSnapshot[];
}

export interface SeriesSnapshot {
  readonly values: readonly string[];
  /** Of a histogram: how many fell into each bucket and no smaller one, +Inf included, then their sum. Else one number. */
  readonly numbers: readonly number[];
}

export type MetricsSnapshot = readonly MetricFamily[];

export interface MetricSpec {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

export interface GaugeSpec extends MetricSpec {
  /** Each process has a series of its own, with its name in the label `worker`, also after a merge. */
  readonly perWorker?: boolean;
}

export interface HistogramSpec extends MetricSpec {
  /** The upper bounds of its buckets, ascending. */
  readonly bounds: readonly number[];
}

/** A family to count in. `of` throws an Error unless there is one value for each label. */
export interface Metric<Series> {
  /** The series with these label values, made when it is first asked for. Keep it where it is used often. */
  of(...values: string[]): Series;
}

export interface Metrics {
  /** Each throws an Error for a malformed name or label, and for a name that is taken. */
  counter(spec: MetricSpec): Metric<CounterSeries>;
  gauge(spec: GaugeSpec): Metric<GaugeSeries>;
  histogram(spec: HistogramSpec): Metric<HistogramSeries>;
  /** Has `collect` called before each snapshot, for what is only worth finding out when somebody looks. */
  onCollect(collect: () => void): void;
  /** All families in the order of their declaration, those without series too. */
  snapshot(): MetricsSnapshot;
}

export interface MetricsOptions {
  /** The name of this process among its workers, in the label `worker`. */
  readonly worker?: string;
}

/** A process that has no others beside it is its own first worker. */
const onlyWorker = '1';

/** Makes an empty registry. */
export function createMetrics({ worker = onlyWorker }: MetricsOptions = {}): Metrics {
  const families = new Map<
    string,
    { readonly family: MetricFamily; readonly series: Map<string, SeriesSnapshot> }
  >();
  const collectors: (() => void)[] = [];

  function declare<Series extends SeriesSnapshot>(
    kind: MetricKind,
    spec: GaugeSpec & { readonly bounds?: readonly number[] },
    make: (values: readonly string[]) => Series,
  ): Metric<Series> {
    const { name, help, labels = [], perWorker = false, bounds = [] } = spec;
    assertWellFormed(kind, name, labels, bounds);
    if (families.has(name)) throw new Error(`The metric ${name} is declared twice: choose another name.`);
    const fixed = perWorker ? [worker] : [];
    const series = new Map<string, Series>();
    const all = perWorker ? [...labels, 'worker'] : labels;
    families.set(name, { family: { name, help, kind, labels: all, bounds, series: [] }, series });
    const find = (values: readonly string[]): Series => {
      const key = JSON.stringify(values);
      const known = series.get(key);
      if (known !== undefined) return known;
      const made = make([...values, ...fixed]);
      series.set(key, made);
      return made;
    };
    return {
      of(...values) {
        if (values.length === labels.length) return find(values);
        throw new Error(`The metric ${name} has ${labels.length} labels: give one value for each.`);
      },
    };
  }

  return {
    counter: (spec) => declare('counter', spec, (values) => new CounterSeries(values)),
    gauge: (spec) => declare('gauge', spec, (values) => new GaugeSeries(values)),
    histogram: (spec) => declare('histogram', spec, (values) => new HistogramSeries(values, spec.bounds)),
    onCollect: (collect) => void collectors.push(collect),
    snapshot() {
      for (const collect of collectors) collect();
      return Array.from(families.values(), ({ family, series }) => ({
        ...family,
        series: Array.from(series.values(), ({ values, numbers }) => ({ values, numbers: [...numbers] })),
      }));
    },
  };
}

export class CounterSeries implements SeriesSnapshot {
  readonly values: readonly string[];
  readonly numbers: [number] = [0];

  constructor(values: readonly string[]) {
    this.values = values;
  }

  /** Adds to the count; a counter never falls, so what is below 0, or no number, is left out. */
  add(amount = 1): void {
    if (amount > 0) this.numbers[0] += amount;
  }
}

export class GaugeSeries implements SeriesSnapshot {
  readonly values: readonly string[];
  readonly numbers: [number] = [0];

  constructor(values: readonly string[]) {
    this.values = values;
  }

  /** Sets the value; what is not finite, which JSON cannot say, is left out. */
  set(value: number): void {
    if (Number.isFinite(value)) this.numbers[0] = value;
  }
}

export class HistogramSeries implements SeriesSnapshot {
  readonly values: readonly string[];
  readonly numbers: number[];
  readonly #bounds: readonly number[];

  constructor(values: readonly string[], bounds: readonly number[]) {
    this.values = values;
    this.numbers = new Array<number>(bounds.length + 2).fill(0);
    this.#bounds = bounds;
  }

  /** Counts one observation. What is not finite is left out. */
  observe(value: number): void {
    if (!Number.isFinite(value)) return;
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket += 1;
    const sum = bounds.length + 1;
    this.numbers[bucket] = (this.numbers[bucket] ?? 0) + 1;
    this.numbers[sum] = (this.numbers[sum] ?? 0) + value;
  }
}

/** The names that Prometheus takes; `le` is the label of a histogram's buckets, and `worker` is ours. */
function assertWellFormed(
  kind: MetricKind,
  name: string,
  labels: readonly string[],
  bounds: readonly number[],
): void {
  if (!/^[a-z][a-z0-9_]*$/.test(name)) throw new Error(`The metric name "${name}" is not in snake_case.`);
  const bad = labels.find((label) => !/^[a-z][a-z0-9_]*$/.test(label) || reserved.has(label));
  if (bad !== undefined) throw new Error(`The metric ${name} cannot have the label "${bad}": rename it.`);
  const ascending = bounds.every((bound, index) => index === 0 || bound > (bounds[index - 1] ?? bound));
  if ((kind === 'histogram' && bounds.length === 0) || !ascending || !bounds.every(Number.isFinite))
    throw new Error(`The histogram ${name} needs finite bounds in ascending order.`);
}
const reserved = new Set(['le', 'quantile', 'worker']);

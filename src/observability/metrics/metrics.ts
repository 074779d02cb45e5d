/**
 * The metrics of a process. A family has a name, a kind and labels; a series has one set of label values, and the numbers.
 * Code that counts looks up its series once and keeps it, so that counting only adds to a number: it looks up, joins and
 * allocates nothing.
 *
 *     counter    only increases: requests, events, seconds of CPU time
 *     gauge      increases and decreases: bytes in use, connections
 *     histogram  observations in buckets, with their sum: durations, sizes
 *
 * A snapshot is plain JSON, so that a worker can send it to its primary. `merge-metrics.ts` sums several snapshots. A value
 * that must not be summed over workers, such as the memory of each, is a gauge with `perWorker`: it has the label `worker`
 * with the name of its process.
 *
 * Series are never removed: label values come from the code (the template of a route, a status, the name of a limit), never
 * from a request.
 */

export type MetricKind = 'counter' | 'gauge' | 'histogram';

/** One family with its series at one moment: plain JSON. */
export interface MetricFamily {
  /** In the style of Prometheus: snake_case, with the base unit, counters with `_total`. */
  readonly name: string;
  /** The meaning of the numbers, as a sentence for the operator. */
  readonly help: string;
  readonly kind: MetricKind;
  /** The names of the labels. The values of each series have the same order. */
  readonly labels: readonly string[];
  /** Of a histogram: the upper bounds of its buckets, inclusive and ascending, without the last, +Inf. */
  readonly bounds: readonly number[];
  readonly series: readonly SeriesSnapshot[];
}

export interface SeriesSnapshot {
  readonly values: readonly string[];
  /** Of a histogram: the observations per bucket (not cumulative, +Inf included), then their sum. Else one number. */
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

/** A declared family. `of` throws an Error unless there is one value per label. */
export interface Metric<Series> {
  /** Returns the series with these label values, and creates it at the first call. Keep it if it is used often. */
  of(...values: string[]): Series;
}

export interface Metrics {
  /** Declares a family. Throws an Error for a malformed name or label, and for a name that is taken. */
  counter(spec: MetricSpec): Metric<CounterSeries>;
  gauge(spec: GaugeSpec): Metric<GaugeSeries>;
  histogram(spec: HistogramSpec): Metric<HistogramSeries>;
  /** Calls `collect` before each snapshot, for values that are only worth reading then. */
  onCollect(collect: () => void): void;
  /** Returns all families in the order of their declaration, including those without series. */
  snapshot(): MetricsSnapshot;
}

export interface MetricsOptions {
  /** The name of this process among its workers, in the label `worker`. */
  readonly worker?: string;
}

/** The name of a single process. */
const onlyWorker = '1';

/** Creates an empty registry. */
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

  /** Adds to the count. A counter never decreases, so amounts that are negative or NaN are ignored. */
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

  /** Sets the value. Values that are not finite are ignored, since JSON cannot represent them. */
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

  /** Counts one observation. Values that are not finite are ignored. */
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

/** Throws an Error for a name that Prometheus rejects, and for a reserved label. */
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

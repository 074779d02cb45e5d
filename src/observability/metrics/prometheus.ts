/**
 * The text format of Prometheus, version 0.0.4: two comments per family, and a line per number.
 *
 *     # HELP http_requests_total Requests that were answered.
 *     # TYPE http_requests_total counter
 *     http_requests_total{method="GET",route="/users/:id",status="200"} 42
 *
 * A histogram has a cumulative line per bucket, then `_sum` and `_count`. A family without series is omitted.
 */

import type { MetricFamily, MetricsSnapshot, SeriesSnapshot } from './metrics.ts';

export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** Returns the snapshot as text. Never throws. */
export function renderPrometheus(snapshot: MetricsSnapshot): string {
  const lines: string[] = [];
  for (const family of snapshot) {
    if (family.series.length === 0) continue;
    lines.push(
      `# HELP ${family.name} ${escapeHelp(family.help)}`,
      `# TYPE ${family.name} ${family.kind}`,
      ...family.series.flatMap((series) =>
        family.kind === 'histogram' ? histogramLines(family, series) : valueLine(family, series),
      ),
    );
  }
  return lines.map((line) => `${line}\n`).join('');
}

function valueLine({ name, labels }: MetricFamily, { values, numbers }: SeriesSnapshot): string {
  return `${name}${inBraces(pairs(labels, values))} ${numbers[0] ?? 0}`;
}

function histogramLines(
  { name, labels, bounds }: MetricFamily,
  { values, numbers }: SeriesSnapshot,
): string[] {
  const own = pairs(labels, values);
  let count = 0;
  const buckets = [...bounds.map(String), '+Inf'].map((bound, index) => {
    count += numbers[index] ?? 0;
    return `${name}_bucket${inBraces([...own, `le="${bound}"`])} ${count}`;
  });
  const sum = numbers[bounds.length + 1] ?? 0;
  return [...buckets, `${name}_sum${inBraces(own)} ${sum}`, `${name}_count${inBraces(own)} ${count}`];
}

function pairs(labels: readonly string[], values: readonly string[]): string[] {
  return labels.map((label, index) => `${label}="${escapeValue(values[index] ?? '')}"`);
}

function inBraces(labels: readonly string[]): string {
  return labels.length === 0 ? '' : `{${labels.join(',')}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeValue(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}

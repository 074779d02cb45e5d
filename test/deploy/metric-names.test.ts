import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import * as z from 'zod';
import { defaultApp } from '../../src/cli/generated-pages.ts';
import { processEndReasons, processStates } from '../../src/cluster/process-state.ts';
import { events } from '../../src/declarations.ts';
import { eventually } from '../helpers/eventually.ts';
import { metricsOf, mustFindJobsProcess, mustMakeJobFixture } from '../helpers/job-fixture.ts';
import { startProgram } from '../helpers/program.ts';

const deploy = join(import.meta.dirname, '../../deploy');
const read = (path: string) => readFileSync(join(deploy, path), 'utf8');

const dashboard = z.object({
  panels: z.array(
    z.object({
      id: z.int(),
      title: z.string(),
      targets: z.array(z.object({ expr: z.string() })).optional(),
    }),
  ),
});

const panels = dashboard.parse(JSON.parse(read('grafana/strata.json'))).panels;
const expressions = {
  'the dashboard': panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  'the alerts': Array.from(
    read('prometheus/rules.yml').matchAll(/\bexpr: (?:>-)?([\s\S]*?)\n {8}(?:for|labels):/g),
    ([, expr = '']) => expr,
  ),
};

/** The names of metrics in a PromQL expression: what is no function, keyword, label or text. */
function metricsIn(expr: string): string[] {
  const bare = expr
    .replace(/"[^"]*"/g, '')
    .replace(/\{[^}]*\}|\[[^\]]*\]|\b(?:by|without) \([^)]*\)/g, '')
    .replace(/\b(?:or|and|unless|by)\b/g, ' ');
  return bare.match(/\b[a-z_]\w*\b(?!\s*\()/g) ?? [];
}

/** Returns the values that a matcher of this label may match: `a|b` are two. */
function valuesOf(label: string, exprs: readonly string[]): string[] {
  const matcher = new RegExp(`\\b${label}=~?"([^"]*)"`, 'g');
  return exprs.flatMap((expr) => [...expr.matchAll(matcher)].flatMap(([, values = '']) => values.split('|')));
}

test('the dashboard and the alerts ask only for metrics that the program has', async (t) => {
  const { env } = await mustMakeJobFixture(t);
  const program = startProgram(t, { ...env, APP_WORKERS: '2' });
  await mustFindJobsProcess(program);
  let text = '';
  await eventually('the metrics of the jobs are there', async () => {
    text = await metricsOf(program);
    return text.includes('job_threads_replaced_total');
  });
  // `up` is Prometheus' own; a metric without counts is declared, and not in the text.
  const known = new Set(['up', ...Array.from(text.matchAll(/^# TYPE (\S+)/gm), ([, name = '']) => name)]);
  for (const { name, kind } of defaultApp().metrics) {
    known.add(name);
    if (kind === 'histogram') for (const part of ['bucket', 'sum', 'count']) known.add(`${name}_${part}`);
  }
  for (const [where, exprs] of Object.entries(expressions)) {
    const asked = new Set(exprs.flatMap(metricsIn));
    assert.ok(asked.size > 5, `${where} asks for something`);
    assert.deepEqual(
      [...asked].filter((name) => !known.has(name)),
      [],
      where,
    );
  }
});

for (const [where, exprs] of Object.entries(expressions)) {
  describe(where, () => {
    for (const [label, known] of [
      ['event', events],
      ['state', processStates],
      ['reason', processEndReasons],
    ] as const) {
      test(`names only values of "${label}" that there are`, () => {
        const names: readonly string[] = known;
        assert.deepEqual(
          valuesOf(label, exprs).filter((value) => !names.includes(value)),
          [],
        );
      });
    }
  });
}

test('no two panels of the dashboard have the same id', () => {
  const ids = panels.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
});

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { alertRuleNames, createAlertRules } from '../../src/alerts/rules.ts';
import { defaultApp } from '../../src/cli/generated-pages.ts';
import { events } from '../../src/declarations.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

const rules = read('deploy/prometheus/rules.yml');
const rulesTest = read('deploy/prometheus/rules-test.yml');
const runbooks = read('docs/runbooks.md');
const [, operations = ''] = read('docs/operations.md').split('\n## Metrics and alerts\n');

/** The text of each rule, by its name. */
const texts = new Map(
  rules
    .split(/\n {6}- alert: /)
    .slice(1)
    .map((text) => [text.split('\n')[0] ?? '', text] as const),
);
const names = [...texts.keys()].sort();
const matches = (text: string, pattern: RegExp) =>
  Array.from(text.matchAll(pattern), ([, name = '']) => name);

test('every alert has a row in the table of docs/operations.md with its severity, and every row an alert', () => {
  const [table = ''] = operations.split('\n## ');
  const rows = Array.from(
    table.matchAll(/^\| `(\w+)` \| (\w+) \|/gm),
    ([, name, severity]) => `${name} ${severity}`,
  );
  const wanted = [...texts].map(([name, text]) => `${name} ${matches(text, /severity: (\w+)/g)[0]}`);
  assert.deepEqual(rows.sort(), wanted.sort());
});

test('every alert has a section in docs/runbooks.md, and every section an alert', () => {
  assert.deepEqual(matches(runbooks, /^## (\w+)$/gm).sort(), names);
});

const programRules = createAlertRules({
  thresholds: {
    rateLimitViolations: 1,
    authFailures: 1,
    errorPercent: 1,
    circuitOpenSeconds: 1,
    workerCrashes: 1,
    failedJobs: 1,
    databaseAwaySeconds: 1,
  },
  hasDatabase: true,
  deliveryTask: '',
});

test('every rule of the program has a rule for Prometheus with the same severity, whose section is its runbook', () => {
  for (const { name, severity, runbook } of programRules) {
    assert.deepEqual(matches(texts.get(runbook) ?? '', /severity: (\w+)/g), [severity], name);
  }
  assert.deepEqual(programRules.map(({ name }) => name).sort(), [...alertRuleNames].sort());
});

test('every rule of the program has a row in docs/alerting.md with its severity and runbook', () => {
  const rows = Array.from(
    read('docs/alerting.md').matchAll(/^\| `(\w+)` \| (\w+) \| .* \| \[(\w+)\]\(runbooks\.md#(\w+)\) \|$/gm),
    ([, name, severity, runbook, anchor]) => ({ name, severity, runbook, anchor }),
  );
  assert.deepEqual(
    rows,
    programRules.map(({ name, severity, runbook }) => ({
      ...{ name, severity, runbook },
      anchor: runbook.toLowerCase(),
    })),
  );
});

test('every section of docs/runbooks.md states the meaning, what to check and how to act', () => {
  for (const section of runbooks.split('\n## ').slice(1)) {
    for (const part of ['Meaning', 'Check', 'Act'])
      assert.ok(section.includes(`\n**${part}.** `), section.slice(0, 40));
  }
});

test('every alert names its runbook', () => {
  for (const [name, text] of texts) {
    assert.deepEqual(matches(text, /runbook_url: (\S+)/g), [`docs/runbooks.md#${name.toLowerCase()}`]);
  }
});

test('rules-test.yml has a case in which each alert fires, and one in which it does not', () => {
  const quiet = new Set(matches(rulesTest, /alertname: (\w+), exp_alerts: \[\] /g));
  const firing = new Set(matches(rulesTest, /ALERTS\{alertname="(\w+)", alertstate="firing"\}/g));
  assert.deepEqual([...quiet].sort(), names);
  assert.deepEqual([...firing].sort(), names);
});

describe('the alerts and runbooks', () => {
  const annotations = matches(rules, /description: ((?:.|\n {12})*)/g).join('\n');
  const files = /\.(?:c?js|json|md|ts|ya?ml)$/;
  const known = new Set<string>(events);
  for (const [where, text] of Object.entries({ annotations, runbooks })) {
    test(`${where} name only events that exist`, () => {
      const words = text.match(/(?<![\w./-])[a-z]+(?:_[a-z]+)*(?:\.[a-z]+(?:_[a-z]+)*)+(?![\w/])/g) ?? [];
      const named = words.filter((word) => !files.test(word));
      assert.ok(named.length > 5);
      assert.deepEqual(
        named.filter((name) => !known.has(name)),
        [],
      );
    });
  }

  test('runbooks name only metrics that exist', () => {
    const page = read('docs/metrics.md');
    const declared = new Set([
      ...matches(page, /^\| `(\w+)` \|/gm),
      ...defaultApp().metrics.map(({ name }) => name),
    ]);
    const named = matches(
      runbooks,
      /`([a-z]+(?:_[a-z0-9]+){2,}|\w+_(?:bytes|pending|reachable|ready|total|waiting))`/g,
    );
    assert.ok(named.length > 5);
    assert.deepEqual(
      named.filter((name) => !declared.has(name)),
      [],
    );
  });
});

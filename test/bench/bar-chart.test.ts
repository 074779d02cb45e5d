import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { chooseTicks, renderBarChart } from '../../bench/bar-chart.ts';
import { assertWellFormed } from './well-formed.ts';

const printable = fc.stringMatching(/^[ -~µ]{0,20}$/);

test('whatever is drawn is XML, and no bar is longer than the axis', () => {
  const row = fc.record({
    label: printable,
    values: fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { maxLength: 3 }),
    remark: fc.option(printable, { nil: undefined }),
  });
  const chart = fc.record({
    ...{ title: printable, description: printable, unit: printable },
    ...{ series: fc.array(printable, { maxLength: 3 }), rows: fc.array(row, { maxLength: 6 }) },
  });
  fc.assert(
    fc.property(chart, (drawn) => {
      const svg = renderBarChart(drawn);
      assertWellFormed(svg);
      const axis = Math.max(...[...svg.matchAll(/x1="([\d.]+)"/g)].map(([, x]) => Number(x)));
      for (const [, x, width] of svg.matchAll(/<rect x="(\d+)" y="[\d.]+" width="([\d.]+)" height="14"/g)) {
        assert.ok(Number(x) + Number(width) <= axis + 0.2);
      }
    }),
  );
});

test('a bar twice as high is twice as long', () => {
  const rows = [
    { label: 'a', values: [10] },
    { label: 'b', values: [20] },
  ];
  const svg = renderBarChart({ title: 't', description: 'd', unit: 'u', rows });
  const [first, second] = [...svg.matchAll(/width="([\d.]+)" height="14"/g)].map(([, width]) =>
    Number(width),
  );
  assert.equal(second, 2 * (first ?? Number.NaN));
});

test('the axis begins at 0, ends where nothing is above it, and has few steps of one size', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-3, max: 1e7, noNaN: true }), (most) => {
      const ticks = chooseTicks(most);
      const [first, step = Number.NaN] = ticks;
      const last = ticks.at(-1) ?? Number.NaN;
      assert.equal(first, 0);
      assert.ok(last >= most * (1 - 1e-8) && last - step < most);
      assert.ok(ticks.length >= 5 && ticks.length <= 12, `${ticks}`);
    }),
  );
});

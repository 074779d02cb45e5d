import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type MicroCase, renderMicro, summariseMicro } from '../../../bench/micro/results.ts';

function match(question: string, figures: number[], ours = true): MicroCase {
  return {
    bench: 'router',
    question,
    name: ours ? 'Strata' : 'find-my-way',
    ours,
    unit: 'ns',
    figures,
  };
}

function render(cases: MicroCase[]): string {
  return renderMicro(summariseMicro(cases));
}

test('each contestant is compared with ours of the same question, round by round', () => {
  const table = render([
    match('static, 10 routes', [100, 200, 100]),
    match('static, 10 routes', [150, 300, 150], false),
    match('miss, 10 routes', [1000, 1000, 1000]),
  ]);
  assert.match(table, /^\| static, 10 routes \| find-my-way \| ns +\| +150 ±\d+\.\d \| +1\.50 \|$/m);
  assert.match(table, /^\| static, 10 routes \| Strata +\| ns +\| +100 ±\d+\.\d \| +\|$/m);
});

test('a ratio whose rounds disagree is printed with its spread', () => {
  const table = render([match('static', [100, 100, 100]), match('static', [100, 200, 400], false)]);
  assert.match(table, /2\.00 \(spread 75 %\)/);
});

test('memory, which is counted once, has a ratio without a doubt', () => {
  const memory = (name: string, bytes: number): MicroCase => ({
    ...{ bench: 'limiter', question: 'memory', name, ours: name === 'Strata', unit: 'bytes' },
    figures: [bytes],
  });
  assert.match(render([memory('Strata', 200), memory('other', 400)]), /other +\| bytes \| +400 \| +2\.00 \|/);
});

test('the router is flat while 5,000 routes cost at most 1.3 times what 10 cost', () => {
  const judge = (many: number[]) =>
    summariseMicro([match('static, 10 routes', [100, 100, 100]), match('static, 5000 routes', many)])
      .targets[0];
  assert.equal(judge([130, 130, 130])?.verdict, 'met');
  assert.equal(judge([131, 131, 131])?.verdict, 'not met');
  assert.equal(judge([131, 131, 131])?.measured, '1.31');
  assert.equal(judge([100, 130, 200])?.verdict, 'too uncertain');
});

test('a client may cost our limiter 200 bytes', () => {
  const judge = (bytes: number) => {
    const memory = match('memory', [bytes]);
    return summariseMicro([{ ...memory, bench: 'limiter', unit: 'bytes' }]).targets.at(-2)?.verdict;
  };
  assert.equal(judge(200), 'met');
  assert.equal(judge(201), 'not met');
});

test('a target that was not measured is marked as not measured', () => {
  const verdicts = summariseMicro([]).targets.map(({ verdict }) => verdict);
  assert.deepEqual(new Set(verdicts), new Set(['not measured']));
});

test('a hit of the cache in memory may take 2 µs', () => {
  const judge = (ns: number) => {
    const hit = match('a hit in memory', [ns]);
    return summariseMicro([{ ...hit, bench: 'cache' }]).targets.at(-1);
  };
  assert.equal(judge(2_000)?.verdict, 'met');
  assert.equal(judge(2_001)?.verdict, 'not met');
  assert.equal(judge(500)?.measured, '0.50 µs');
});

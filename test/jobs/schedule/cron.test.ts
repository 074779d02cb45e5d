import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { matches, nextMatch, parseCron } from '../../../src/jobs/schedule/cron.ts';

const sorted = (values: ReadonlySet<number>) => [...values].sort((one, other) => one - other);

describe('a cron expression', () => {
  for (const [text, field, values] of [
    ['5 * * * *', 'minutes', [5]],
    ['*/20 * * * *', 'minutes', [0, 20, 40]],
    ['10-40/15,7,55-57 * * * *', 'minutes', [7, 10, 25, 40, 55, 56, 57]],
    ['0 05,22-23 * * *', 'hours', [5, 22, 23]],
    ['0 0 28-31 * *', 'days', [28, 29, 30, 31]],
    ['0 0 1 */3 *', 'months', [1, 4, 7, 10]],
    ['0 0 1 feb,Jun-AUG *', 'months', [2, 6, 7, 8]],
    ['0 0 * * 7', 'weekdays', [0]],
    ['0 0 * * 0-7', 'weekdays', [0, 1, 2, 3, 4, 5, 6]],
    ['0 0 * * mon-FRI', 'weekdays', [1, 2, 3, 4, 5]],
    ['0 0 * * SAT-SUN', 'weekdays', [0, 6]],
    ['0 0 * * SUN-TUE', 'weekdays', [0, 1, 2]],
    ['@weekly', 'weekdays', [0]],
    ['@YEARLY', 'months', [1]],
  ] as const) {
    it(`${text} has the ${field} ${values}`, () => {
      assert.deepEqual(sorted(parseCron(text)[field]), values);
    });
  }

  it('a cron expression may have additional whitespace', () => {
    assert.deepEqual(sorted(parseCron('  1  2 \t * *  * ').hours), [2]);
  });

  for (const [text, sentence] of [
    ['', /has 0 fields: write five/],
    [
      '* * * *',
      /has 4 fields: write five, which are minute, hour, day of the month, month and day of the week/,
    ],
    ['0 0 6 * * *', /has 6 fields/],
    [
      '@reboot',
      /"@reboot" is unknown: use one of @hourly, @daily, @weekly, @monthly, @yearly, or five fields/,
    ],
    [
      '60 * * * *',
      /The minute "60" of the cron expression "60 \* \* \* \*" is invalid: 60 is not from 0 to 59/,
    ],
    ['* 24 * * *', /The hour "24" .* 24 is not from 0 to 23/],
    ['* * 0 * *', /The day of the month "0" .* is not from 1 to 31/],
    ['* * * 13 *', /The month "13" .* is not from 1 to 12, nor one of JAN, FEB/],
    ['* * * * 8', /The day of the week "8" .* is not from 0 to 7, nor one of SUN/],
    ['* * * MON *', /The month "MON" /],
    ['* * L * *', /The day of the month "L" .* L is not from 1 to 31/],
    ['* * ? * *', /The day of the month "\?" .* write \*, a value, a range/],
    ['1, * * * *', /The minute "1," /],
    ['-5 * * * *', /The minute "-5" /],
    ['*-5 * * * *', /The minute "\*-5" /],
    ['1.5 * * * *', /The minute "1.5" /],
    ['5/15 * * * *', /a step needs a range, such as 5-59\/15/],
    ['*/0 * * * *', /a step must be from 1 to 59/],
    ['*/90 * * * *', /a step must be from 1 to 59/],
    ['0 22-2 * * *', /a range goes upwards, so write 22-23,0-2/],
    ['0 0 * * FRI-MON', /a range goes upwards, so write FRI-7,0-MON/],
  ] as const) {
    it(`${text === '' ? 'without text' : text} is rejected with a sentence that names the field`, () => {
      assert.throws(() => parseCron(text), sentence);
    });
  }

  for (const text of ['0 0 30 2 *', '0 0 31 2,4,6,9,11 *', '0 0 30-31 FEB *']) {
    it(`${text} is rejected because it never fires`, () => {
      assert.throws(() => parseCron(text), /never fires: none of its months has a day \d\d\./);
    });
  }

  for (const text of ['0 0 29 2 *', '0 0 30 2 MON', '0 0 31 2,3 *']) {
    it(`${text} is accepted because it fires`, () => assert.equal(parseCron(text).text, text));
  }
});

describe('days', () => {
  const friday13 = Date.UTC(2026, 10, 13);
  for (const [text, fits] of [
    ['0 0 13 * *', [true, true]],
    ['0 0 * * FRI', [true, false]],
    ['0 0 13 * SUN', [true, true]],
    ['0 0 1 * FRI', [true, false]],
    ['0 0 1 * SUN', [false, true]],
    ['0 0 */2 * SUN', [true, true]],
    ['0 0 * 10 FRI', [false, false]],
  ] as const) {
    it(`${text} matches Friday, 13 November: ${fits[0]}; Sunday, 13 December: ${fits[1]}`, () => {
      const cron = parseCron(text);
      assert.deepEqual([matches(cron, friday13), matches(cron, Date.UTC(2026, 11, 13))], fits);
    });
  }

  it('a day that occurs every four or eight years is found at once', () => {
    const cron = parseCron('59 23 29 2 *');
    assert.equal(nextMatch(cron, Date.UTC(2096, 1, 29, 23, 59)), Date.UTC(2104, 1, 29, 23, 59));
  });
});

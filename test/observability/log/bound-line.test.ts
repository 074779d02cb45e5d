import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { boundLine } from '../../../src/observability/log/bound-line.ts';
import { quoteText } from '../../../src/observability/log/log-text.ts';
import { showPath, showQuery } from '../../../src/observability/log/target-text.ts';
import { createLogger, type Logger } from '../../../src/observability/logger.ts';

const token = `sot_${'Zq9'.repeat(14)}A`;
const forbidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/** Asserts that one call writes one line that is bounded and harmless, with its identifying members intact. */
function writtenBy(write: (log: Logger) => void): Record<string, unknown> {
  let text = '';
  const destination = {
    write: (line: string) => {
      text += line;
    },
    flush: () => Promise.resolve(),
  };
  write(createLogger({ level: 'DEBUG', destination, base: { service: 'strata' } }));
  assert.ok(Buffer.byteLength(text) <= 4096, `${Buffer.byteLength(text)} bytes`);
  assert.ok(text.endsWith('\n') && !forbidden.test(text.slice(0, -1)));
  assert.ok(!text.includes('Zq9Zq9'), 'a token');
  const fields: Record<string, unknown> = JSON.parse(text);
  assert.deepEqual([fields.level, fields.event, fields.request_id], ['info', 'user.created', 'r-1']);
  assert.ok(!Number.isNaN(Date.parse(String(fields.timestamp))));
  return fields;
}

describe('a line', () => {
  const long = fc
    .tuple(fc.string({ unit: 'binary', maxLength: 12 }), fc.constantFrom(1, 10, 1000))
    .map(([text, times]) => text.repeat(times));
  const odd = fc.constantFrom(
    '\u202e\u009b31m\u2028\u200b\u{e0041}\ud800"\\\n\u0000',
    `/reset/${token}?x=1`,
    `Bearer ${token}`,
    '😀'.repeat(3000),
    '\u0000'.repeat(5000),
  );
  const text = fc.oneof(
    long,
    odd,
    fc.tuple(long, odd).map((parts) => parts.join(' ')),
  );
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      text,
      fc.anything(),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(text, tie('value'), { maxKeys: 4 }),
      text.map((message) => new Error(message, { cause: new TypeError(message) })),
    ),
  })).value;

  it('for any fields a line has at most 4,096 bytes, is valid JSON, and contains no control, bidi or invisible character and no token', () => {
    fc.assert(
      fc.property(fc.dictionary(text, value, { maxKeys: 6 }), (fields) => {
        writtenBy((log) => log.info('user.created', { ...fields, request_id: 'r-1' }));
        writtenBy((log) => log.bind(fields).named('x').info('user.created', { request_id: 'r-1' }));
      }),
      { numRuns: 100 },
    );
  });

  it('the same holds for the lines of a request with any target', () => {
    fc.assert(
      fc.property(text, text, (path, query) => {
        writtenBy((log) =>
          log.line(
            'INFO',
            'user.created',
            `,"path":${quoteText(showPath(path))},"query":${quoteText(showQuery(query))},"request_id":"r-1"`,
          ),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('in a line that is too long, long texts are cut with the number of removed characters, and short ones are kept', () => {
    const { a, b, list, n } = writtenBy((log) =>
      log.info('user.created', {
        a: 'a'.repeat(1500),
        b: 'b'.repeat(9000),
        n: 7,
        list: ['c'.repeat(900), 'd'],
        request_id: 'r-1',
      }),
    );
    assert.equal(a, `${'a'.repeat(1024)}… [+476 characters]`);
    assert.equal(b, `${'b'.repeat(1024)}… [+7976 characters]`);
    assert.deepEqual([n, list], [7, ['c'.repeat(900), 'd']]);
  });

  it('a line of an error with a message of 20 MB keeps the frames of its stack and its cause', () => {
    const error = new Error('m'.repeat(20_000_000), { cause: new TypeError('inner') });
    const written = JSON.stringify(
      writtenBy((log) => log.info('user.created', { error, request_id: 'r-1' })),
    );
    assert.match(written, /bound-line\.test\.ts/);
    assert.match(written, /"type":"TypeError","message":"inner"/);
  });

  it('a line with too many fields omits the longest ones but no id, and contains the number of omitted fields', () => {
    const many = Object.fromEntries(
      Array.from({ length: 99 }, (_, index) => [`field_${index}`, '\u0000'.repeat(20)]),
    );
    const ids = { request_id: 'r-1', trace_id: 't'.repeat(32), span_id: 's'.repeat(16) };
    const fields = writtenBy((log) => log.info('user.created', { ...many, short: 1, ...ids }));
    assert.ok(Number(fields.omitted_fields) > 50);
    assert.equal(fields.short, 1);
    const { request_id, trace_id, span_id } = fields;
    assert.deepEqual({ request_id, trace_id, span_id }, ids);
  });

  it('fields with the names of standard members are kept under other names', () => {
    const fields = writtenBy((log) =>
      log.info('user.created', { level: 'x', event: 'y', timestamp: 'z', request_id: 'r-1' }),
    );
    assert.deepEqual([fields.level_, fields.event_, fields.timestamp_], ['x', 'y', 'z']);
  });

  it('a line that is too long and no JSON text keeps its level, time and event', () => {
    const line = `{"level":"info","timestamp":"2026-01-01T00:00:00.000Z","x":${'"'.repeat(5000)},"event":"user.created"}\n`;
    assert.deepEqual(JSON.parse(boundLine(line)), {
      level: 'info',
      timestamp: '2026-01-01T00:00:00.000Z',
      unreadable_characters: line.length,
      event: 'user.created',
    });
  });
});

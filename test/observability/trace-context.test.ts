import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  formatTraceparent,
  parseTraceContext,
  startSpan,
  startTrace,
} from '../../src/observability/trace-context.ts';

const trace = '0af7651916cd43dd8448eb211c80319c';
const span = 'b7ad6b7169203331';
const header = `00-${trace}-${span}-01`;

const hex = (length: number) =>
  fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length })
    .map((digits) => digits.join(''));
const id = (length: number) => hex(length).filter((text) => !/^0+$/.test(text));

describe('traceparent', () => {
  it('a valid traceparent is parsed, and formatted as it was', () => {
    fc.assert(
      fc.property(id(32), id(16), fc.constantFrom(0, 1, 2, 3), (traceId, spanId, flags) => {
        const text = `00-${traceId}-${spanId}-0${flags}`;
        const parsed = parseTraceContext(text, undefined);
        assert.deepEqual(parsed, { traceId, spanId, flags, state: undefined });
        assert.ok(parsed !== undefined);
        assert.equal(formatTraceparent(parsed), text);
      }),
    );
  });

  it('a traceparent with one wrong character is invalid', () => {
    const positions = Array.from(header, (_, index) => index).filter((index) => index !== 53);
    fc.assert(
      fc.property(
        fc.constantFrom(...positions),
        fc.constantFrom('g', 'A', 'F', ' ', '_', '.', ',', 'é', '\u0000'),
        (index, wrong) => {
          const text = header.slice(0, index) + wrong + header.slice(index + 1);
          assert.equal(parseTraceContext(text, undefined), undefined);
        },
      ),
    );
  });

  it('any text is parsed to valid ids or rejected, and never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string({ maxLength: 9 }).map((end) => header + end),
        ),
        (text) => {
          const parsed = parseTraceContext(text, text);
          if (parsed === undefined) return;
          assert.match(parsed.traceId, /^(?!0{32})[0-9a-f]{32}$/);
          assert.match(parsed.spanId, /^(?!0{16})[0-9a-f]{16}$/);
          assert.ok(parsed.flags <= 3);
        },
      ),
    );
  });

  for (const [why, text] of Object.entries({
    'the forbidden version': `ff-${trace}-${span}-01`,
    'a trace id of zeros': `00-${'0'.repeat(32)}-${span}-01`,
    'a span id of zeros': `00-${trace}-${'0'.repeat(16)}-01`,
    'more after version 00': `${header}-00`,
    'a later version with more, without a hyphen': `01-${trace}-${span}-0100`,
    'a repeated header': `${header}, ${header}`,
    'no flags': `00-${trace}-${span}`,
    'capital letters': header.toUpperCase(),
  })) {
    it(`a traceparent with ${why} is invalid`, () =>
      assert.equal(parseTraceContext(text, undefined), undefined));
  }

  for (const text of [`01-${trace}-${span}-01`, `cc-${trace}-${span}-01-what-the-future-will-be`]) {
    it(`a traceparent of a later version is understood and passed on in version 00: ${text.slice(0, 2)}`, () => {
      const parsed = parseTraceContext(text, undefined);
      assert.ok(parsed !== undefined);
      assert.equal(formatTraceparent(parsed), header);
    });
  }

  it('unknown flags are not passed on', () => {
    const parsed = parseTraceContext(`00-${trace}-${span}-fe`, undefined);
    assert.ok(parsed !== undefined);
    assert.equal(formatTraceparent(parsed), `00-${trace}-${span}-02`);
  });
});

describe('tracestate', () => {
  const stateOf = (text: string) => parseTraceContext(header, text)?.state;

  for (const [text, state] of [
    ['rojo=00f067aa0ba902b7', 'rojo=00f067aa0ba902b7'],
    ['rojo=1,congo=t61rcWkgMzE', 'rojo=1,congo=t61rcWkgMzE'],
    ['a=1, b=2\t,,c=3', 'a=1,b=2,c=3'],
    ['fw529a3039@dt=FfAAA/x:y z', 'fw529a3039@dt=FfAAA/x:y z'],
    [`a=${'x'.repeat(256)}`, `a=${'x'.repeat(256)}`],
  ] as const) {
    it(`a valid tracestate is passed on: ${text.slice(0, 40)}`, () => assert.equal(stateOf(text), state));
  }

  for (const text of [
    '',
    ',',
    'a',
    'a=',
    '=1',
    'A=1',
    'a=1,a=2',
    'a b=1',
    'a=é',
    'a=b=c',
    `a=${'x'.repeat(257)}`,
    `${'k'.repeat(257)}=1`,
    Array.from({ length: 33 }, (_, index) => `k${index}=1`).join(','),
  ]) {
    it(`an invalid tracestate is dropped, and the trace is continued: ${text.slice(0, 40)}`, () =>
      assert.deepEqual(parseTraceContext(header, text), {
        ...{ traceId: trace, spanId: span, flags: 1 },
        state: undefined,
      }));
  }

  it('a tracestate over 512 characters loses its long members first, then the last ones', () => {
    const short = (index: number) => `k${index}=${'x'.repeat(60)}`;
    const long = `long=${'y'.repeat(200)}`;
    const all = [short(1), long, ...Array.from({ length: 9 }, (_, index) => short(index + 2))];
    const state = stateOf(all.join(','));
    assert.equal(
      state,
      Array.from({ length: 8 }, (_, index) => short(index + 1))
        .join(',')
        .slice(0, 512),
    );
    assert.ok(state !== undefined && state.length <= 512);
  });
});

describe('a new span', () => {
  it('new ids are valid and differ', () => {
    const made = Array.from({ length: 5_000 }, startTrace);
    for (const { traceId, spanId } of made) {
      assert.match(traceId, /^[0-9a-f]{32}$/);
      assert.match(spanId, /^[0-9a-f]{16}$/);
    }
    assert.equal(new Set(made.map(({ traceId }) => traceId)).size, made.length);
    assert.equal(new Set(made.map(({ spanId }) => spanId)).size, made.length);
  });

  it('a span has the trace, the flags and the state of its parent, and an id of its own', () => {
    const parent = parseTraceContext(header, 'a=1');
    const child = startSpan(parent);
    assert.deepEqual({ ...child, spanId: span }, parent);
    assert.notEqual(child.spanId, span);
  });

  it('a trace that starts here is not sampled', () => assert.equal(startSpan(undefined).flags, 0));
});

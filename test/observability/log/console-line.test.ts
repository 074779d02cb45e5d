import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatConsoleLine } from '../../../src/observability/log/console-line.ts';
import { createLogger } from '../../../src/observability/logger.ts';

/** Returns the text for a line that a real logger writes. */
function textOf(fields: Record<string, unknown>, useColours = false): string {
  let text = '';
  const write = (line: string) => {
    text += formatConsoleLine(line, useColours);
  };
  const log = createLogger({
    level: 'DEBUG',
    destination: { write, flush: () => Promise.resolve() },
    base: { service: 'Shop', environment: 'local' },
  });
  log.named('http').warning('user.created', fields);
  return text;
}

describe('a log line on a terminal', () => {
  it('a line has the time of day, the level, the event and the fields, and not the service and the environment', () => {
    const text = textOf({ user_id: 7, path: '/api/v1/users', note: 'two words', tags: ['a'] });
    assert.match(
      text,
      /^\d\d:\d\d:\d\d\.\d{3} {2}WARNING {3}user\.created {2}user_id=7 {2}path=\/api\/v1\/users {2}note="two words" {2}tags=\["a"\] {2}logger=http\n$/,
    );
  });

  it('the time of day is that of the timestamp in the time zone of the machine', () => {
    const at = new Date(2026, 10, 30, 4, 5, 6, 7);
    const line = `{"level":"info","timestamp":"${at.toISOString()}","event":"user.created"}\n`;
    assert.equal(formatConsoleLine(line, false), '04:05:06.007  INFO      user.created\n');
  });

  it('a field without a value is not shown', () => {
    assert.doesNotMatch(textOf({ query: '', signal: null }), /query|signal/);
  });

  it('the request id and the logger come after the other fields', () => {
    assert.match(
      textOf({ request_id: 'r-1', status: 200 }),
      /status=200 {2}logger=http {2}request_id=r-1\n$/,
    );
  });

  it('an error is shown with its message, and its frames and its cause follow on lines of their own', () => {
    const cause = new RangeError('too large');
    const [first = '', ...rest] = textOf({ error: new TypeError('no name', { cause }) }).split('\n');
    assert.match(first, /error="TypeError: no name"/);
    assert.match(rest[0] ?? '', /^ {4}at .*console-line\.test/);
    assert.ok(rest.includes('    cause: "RangeError: too large"'));
  });

  it('a control character and an invisible character never reach the terminal', () => {
    const text = textOf({ name: '\u001b[31mred\u202e\u0007', error: new Error('\u009b2J') });
    assert.match(text, /\\u001b\[31mred\\u202e\\u0007/);
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  });

  it('colours mark the level, and are omitted where the terminal has none', () => {
    assert.ok(textOf({}, true).includes('\u001b[33mWARNING \u001b[0m'));
    assert.ok(!textOf({}, false).includes('\u001b'));
  });

  it('a line that is not JSON is written unchanged', () => {
    assert.equal(formatConsoleLine('no json\n', true), 'no json\n');
  });
});

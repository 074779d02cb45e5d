import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createLogger,
  type LoggerOptions,
  type LogLevel,
  logLevels,
} from '../../src/observability/logger.ts';
import { captureLog } from '../helpers/captured-log.ts';

/** A logger into memory with options of its own, and its lines. */
function makeLogger(options: Partial<LoggerOptions> = {}) {
  let text = '';
  const destination = {
    write: (line: string) => {
      text += line;
    },
    flush: () => Promise.resolve(),
  };
  const log = createLogger({ level: 'DEBUG', destination, ...options });
  return { log, text: () => text, line: (): Record<string, unknown> => JSON.parse(text) };
}

describe('a line', () => {
  it('is one JSON object with level, time and event, and then its fields', () => {
    const { log, text, line } = makeLogger();
    log.info('user.created', { user_id: 7 });
    const { timestamp, ...rest } = line();
    assert.deepEqual(rest, { level: 'info', event: 'user.created', user_id: 7 });
    assert.equal(new Date(String(timestamp)).toISOString(), timestamp);
    assert.match(text(), /^[^\n]+\n$/);
  });

  it('says which part of the program wrote it, and what was bound to that', () => {
    const { log, line } = makeLogger({ base: { service: 'strata', environment: 'test' } });
    log.named('users').bind({ attempt: 2, api_key: 'abc' }).warning('user.updated', { user_id: 7 });
    const { timestamp, ...rest } = line();
    assert.deepEqual(rest, {
      level: 'warning',
      service: 'strata',
      environment: 'test',
      logger: 'users',
      attempt: 2,
      api_key: '***REDACTED***',
      event: 'user.updated',
      user_id: 7,
    });
  });

  it('has the caller, as file and line, where that is turned on', () => {
    const { log, line } = makeLogger({ includeCaller: true });
    log.named('x').info('user.created');
    assert.match(String(line().caller), /test\/observability\/logger\.test\.ts:\d+$/);
    const without = makeLogger();
    without.log.info('user.created');
    assert.equal('caller' in without.line(), false);
  });

  it('has line breaks and quotes of its fields escaped, so that nobody can forge another', () => {
    const { log, text } = makeLogger();
    log.info('user.created', { name: '"}\n{"level":"error"\u2028' });
    assert.equal(text().split('\n').length, 2);
  });

  it('that was written as JSON text has the same fields as any other', () => {
    const { log, line } = makeLogger({ base: { service: 'strata' } });
    log.named('http').line('INFO', 'http.request.start', ',"method":"GET"');
    const { timestamp, ...rest } = line();
    assert.equal(new Date(String(timestamp)).toISOString(), timestamp);
    assert.deepEqual(rest, {
      level: 'info',
      service: 'strata',
      logger: 'http',
      method: 'GET',
      event: 'http.request.start',
    });
  });
});

describe('the level', () => {
  for (const [index, level] of logLevels.entries()) {
    it(`${level} lets through what is at least that`, () => {
      const { log, lines } = captureLog(level);
      log.debug('user.created');
      log.info('user.created');
      log.warning('user.created');
      log.error('user.created');
      log.critical('user.created');
      const names = ['debug', 'info', 'warning', 'error', 'critical'];
      assert.deepEqual(
        lines().map((line) => line.level),
        names.slice(index),
      );
      assert.deepEqual(
        logLevels.map((each: LogLevel) => log.enabled(each)),
        names.map((_, at) => at >= index),
      );
    });

    it(`${level} holds for lines that come as JSON text, and for the loggers of parts`, () => {
      const { log, lines } = captureLog(level);
      for (const each of logLevels) log.named('a').bind({ b: 1 }).line(each, 'user.created', '');
      assert.equal(lines().length, logLevels.length - index);
    });
  }
});

describe('an error', () => {
  it('is written with its type, message, code, stack and causes', () => {
    const { log, line } = makeLogger();
    const cause = Object.assign(new TypeError('inner'), { code: 'ECONNREFUSED' });
    log.error('http.request.failed', { error: new Error('outer', { cause }) });
    const error = JSON.parse(JSON.stringify(line().error));
    assert.deepEqual(
      [error.type, error.message, error.cause.type, error.cause.message, error.cause.code],
      ['Error', 'outer', 'TypeError', 'inner', 'ECONNREFUSED'],
    );
    assert.match(error.stack, /logger\.test\.ts/);
  });

  it('has the passwords of URLs in its text masked', () => {
    const { log, text } = makeLogger();
    log.error('database.unavailable', { error: new Error('no route to postgres://app:hunter2@db:5432/x') });
    assert.match(text(), /postgres:\/\/app:\*\*\*REDACTED\*\*\*@db/);
    assert.ok(!text().includes('hunter2'));
  });

  for (const thrown of ['text', 7, undefined, null]) {
    it(`that is ${String(thrown)} is written as it is`, () => {
      const { log, line } = makeLogger();
      log.error('http.request.failed', { error: thrown });
      assert.equal(line().error, thrown);
    });
  }
});

describe('whatever the fields are', () => {
  const circle: Record<string, unknown> = { name: 'round' };
  circle.self = circle;
  const odd: [what: string, value: unknown][] = [
    ['a circle', circle],
    ['a big integer', 10n ** 30n],
    ['a symbol', Symbol('x')],
    ['a function', () => 1],
    ['a date that is none', new Date(Number.NaN)],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
    ['an object whose toJSON throws', { toJSON: () => assert.fail('no') }],
    [
      'an object whose property throws',
      {
        get a() {
          return assert.fail('no');
        },
      },
    ],
    ['not a number', Number.NaN],
    ['half of a surrogate pair', '\ud800'],
  ];
  for (const [what, value] of odd) {
    it(`${what} does not keep the line from being written, nor the program from going on`, () => {
      const { log, line } = makeLogger();
      log.info('user.created', { value });
      assert.equal(line().event, 'user.created');
      const bound = makeLogger();
      bound.log.bind({ value }).named('x').info('user.created');
      assert.equal(bound.line().event, 'user.created');
    });
  }
});

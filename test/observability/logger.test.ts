import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createLogger,
  type LoggerOptions,
  type LogLevel,
  logLevels,
} from '../../src/observability/logger.ts';
import { captureLog } from '../helpers/captured-log.ts';

/** Creates a logger with the given options that writes to memory. */
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
  it('a line is a JSON object with level, time, event and its fields', () => {
    const { log, text, line } = makeLogger();
    log.info('user.created', { user_id: 7 });
    const { timestamp, ...rest } = line();
    assert.deepEqual(rest, { level: 'info', event: 'user.created', user_id: 7 });
    assert.equal(new Date(String(timestamp)).toISOString(), timestamp);
    assert.match(text(), /^[^\n]+\n$/);
  });

  it('a line has the name of its logger, and the bound fields', () => {
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

  it('with includeCaller, a line has the file and line of its caller', () => {
    const { log, line } = makeLogger({ includeCaller: true });
    log.named('x').info('user.created');
    assert.match(String(line().caller), /test\/observability\/logger\.test\.ts:\d+$/);
    const without = makeLogger();
    without.log.info('user.created');
    assert.equal('caller' in without.line(), false);
  });

  it('line breaks and quotes in fields are escaped, so that no field can forge a line', () => {
    const { log, text } = makeLogger();
    log.info('user.created', { name: '"}\n{"level":"error"\u2028' });
    assert.equal(text().split('\n').length, 2);
  });

  it('a line written as JSON text has the same standard fields', () => {
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
    it(`the level ${level} passes lines of at least that level`, () => {
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

    it(`the level ${level} applies to lines written as JSON text, and to named loggers`, () => {
      const { log, lines } = captureLog(level);
      for (const each of logLevels) log.named('a').bind({ b: 1 }).line(each, 'user.created', '');
      assert.equal(lines().length, logLevels.length - index);
    });
  }
});

describe('an error', () => {
  it('an error is written with its type, message, code, stack and causes', () => {
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

  it('passwords of URLs in the message of an error are masked', () => {
    const { log, text } = makeLogger();
    log.error('database.unavailable', { error: new Error('no route to postgres://app:hunter2@db:5432/x') });
    assert.match(text(), /postgres:\/\/app:\*\*\*REDACTED\*\*\*@db/);
    assert.ok(!text().includes('hunter2'));
  });

  for (const thrown of ['text', 7, undefined, null]) {
    it(`the thrown value ${String(thrown)} is written unchanged`, () => {
      const { log, line } = makeLogger();
      log.error('http.request.failed', { error: thrown });
      assert.equal(line().error, thrown);
    });
  }
});

describe('unusual fields', () => {
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
    it(`a line with ${what} is written, and the logger does not throw`, () => {
      const { log, line } = makeLogger();
      log.info('user.created', { value });
      assert.equal(line().event, 'user.created');
      const bound = makeLogger();
      bound.log.bind({ value }).named('x').info('user.created');
      assert.equal(bound.line().event, 'user.created');
    });
  }
});

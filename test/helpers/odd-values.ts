/**
 * Values that a task can throw, return, log or report, and that break code which expects an Error or plain data. Each is made in the thread that uses it.
 */

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
};

const circle = () => {
  const made: Record<string, unknown> = { name: 'circle' };
  made.itself = made;
  return made;
};

const hostile = () =>
  new Proxy(new Error('behind a proxy'), {
    get: () => {
      throw new Error('get');
    },
    getPrototypeOf: () => {
      throw new Error('getPrototypeOf');
    },
    ownKeys: () => {
      throw new Error('ownKeys');
    },
  });

/** An error with properties that no class of Node gives it. */
function errorWith(properties: Readonly<Record<string, unknown>>): Error {
  const error = new Error('plain');
  for (const [name, value] of Object.entries(properties)) {
    Object.defineProperty(error, name, { value, configurable: true, writable: true, enumerable: true });
  }
  return error;
}

function errorThatThrowsFor(name: string): Error {
  return Object.defineProperty(new Error('plain'), name, {
    get() {
      throw new Error(`reading ${name}`);
    },
  });
}

const circularCause = () => {
  const error = new Error('its own cause');
  error.cause = error;
  return error;
};

class Account {
  readonly #secret = 1;
  readonly name = 'an account';
  secret(): number {
    return this.#secret;
  }
}

const mega = 1_048_576;

export const oddValues: Readonly<Record<string, () => unknown>> = {
  undefined: () => undefined,
  null: () => null,
  'a symbol': () => Symbol('odd'),
  'a BigInt': () => 2n ** 80n,
  'not a number': () => Number.NaN,
  'a function': () => () => 'odd',
  'a class': () => Account,
  'an instance of a class': () => new Account(),
  'a date that is none': () => new Date(Number.NaN),
  'a promise that resolves': () => Promise.resolve('odd'),
  'a thenable that throws': () => ({
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what is tried.
    get then() {
      throw new Error('reading then');
    },
  }),
  'a map': () => new Map([[{}, 1]]),
  'a weak map': () => new WeakMap(),
  'a circular reference': circle,
  'a revoked proxy': revoked,
  'a proxy whose traps throw': hostile,
  'an object with a toJSON that throws': () => ({
    toJSON() {
      throw new Error('toJSON');
    },
  }),
  'an object with a getter that throws': () => ({
    get odd() {
      throw new Error('reading odd');
    },
  }),
  'an object without a prototype': () => Object.assign(Object.create(null), { odd: true }),
  'a frozen error': () => Object.freeze(new Error('frozen')),
  'NUL and halves of pairs': () => 'a\0b\ud800c\udfff',
  'an error with NUL and halves of pairs': () => new Error('a\0b\ud800c\udfff'),
  'a message that is an object': () => errorWith({ message: { a: 1 } }),
  'a message that is a number': () => errorWith({ message: 7 }),
  'a message that is a symbol': () => errorWith({ message: Symbol('odd') }),
  'a message that is a function': () => errorWith({ message: () => 'odd' }),
  'a message that is null': () => errorWith({ message: null }),
  'a message that is a circle': () => errorWith({ message: circle() }),
  'a name, a stack and a code of other types': () =>
    errorWith({ stack: { at: 1 }, name: Symbol('odd'), code: 1n, cause: 'a text' }),
  'an error that is its own cause': circularCause,
  'a cause that is a revoked proxy': () => errorWith({ cause: revoked() }),
  'an error whose message throws': () => errorThatThrowsFor('message'),
  'an error whose stack throws': () => errorThatThrowsFor('stack'),
  'an error whose cause throws': () => errorThatThrowsFor('cause'),
  'an error whose name throws': () => errorThatThrowsFor('name'),
  'an error without a prototype': () => Object.setPrototypeOf(new Error('plain'), null),
  'an error of many': () => new AggregateError([new Error('one'), revoked()], 'many'),
  'a text of 20 MB': () => 'x'.repeat(20 * mega),
  'an error of 20 MB': () => new Error('x'.repeat(20 * mega)),
  'an error with a stack of 20 MB': () => errorWith({ stack: 'x'.repeat(20 * mega) }),
  'a buffer of 20 MB': () => Buffer.alloc(20 * mega),
  'an array of the largest length': () => new Array(2 ** 32 - 1),
  'a value nested 10,000 deep': () => JSON.parse('['.repeat(10_000) + ']'.repeat(10_000)),
};

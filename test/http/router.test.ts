import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createRouter, type Entry } from '../../src/http/router.ts';

function routerOf(...routes: string[]) {
  return createRouter(
    routes.map((route) => {
      const [method = '', path = ''] = route.split(' ');
      return { method, path, value: route };
    }),
  );
}

describe('a pattern', () => {
  const table: [pattern: string, path: string, params: Record<string, string> | undefined][] = [
    ['/', '/', {}],
    ['/', '//', undefined],
    ['/users', '/users', {}],
    ['/users', '/Users', undefined],
    ['/users', '/users/7', undefined],
    ['/users', '/user', undefined],
    ['/users', 'users', undefined],
    ['/users', '', undefined],
    ['/users/:id', '/users/7', { id: '7' }],
    ['/users/:id', '/users/a b', { id: 'a b' }],
    ['/users/:id', '/users/:id', { id: ':id' }],
    ['/users/:id', '/users/..', { id: '..' }],
    ['/users/:id', '/users/__proto__', { id: '__proto__' }],
    ['/users/:id', '/users/constructor', { id: 'constructor' }],
    ['/users/:id', '/users', undefined],
    ['/users/:id', '/users//', undefined],
    ['/users/:id', '/users/7/notes', undefined],
    ['/users/:id/notes/:note', '/users/7/notes/9', { id: '7', note: '9' }],
    ['/users/:id/notes/:note', '/users//notes/9', undefined],
    ['/:a/:b', '/x/y', { a: 'x', b: 'y' }],
    ['/assets/*path', '/assets/a', { path: 'a' }],
    ['/assets/*path', '/assets/a/b.css', { path: 'a/b.css' }],
    ['/assets/*path', '/assets/a/', { path: 'a/' }],
    ['/assets/*path', '/assets/a//b', { path: 'a//b' }],
    ['/assets/*path', '/assets', undefined],
    ['/assets/*path', '/assets//a', undefined],
    ['/:top/*rest', '/x/y/z', { top: 'x', rest: 'y/z' }],
  ];
  for (const [pattern, path, params] of table) {
    it(`the pattern ${pattern} ${params === undefined ? 'does not match' : 'matches'} ${path || '(an empty path)'}`, () => {
      const match = routerOf(`GET ${pattern}`).match('GET', path);
      assert.deepEqual(match.kind === 'found' ? { ...match.params } : undefined, params);
    });
  }

  const malformed: [pattern: string, sentence: RegExp][] = [
    ['users', /does not start with "\/"/],
    ['', /does not start with "\/"/],
    ['//', /empty segment or a trailing slash/],
    ['/users/', /empty segment or a trailing slash/],
    ['/users//notes', /empty segment/],
    ['/:', /bad name ""/],
    ['/*', /bad name ""/],
    ['/:user-id', /bad name "user-id"/],
    ['/:1', /bad name "1"/],
    ['/:__proto__', /bad name "__proto__"/],
    ['/:constructor', /bad name "constructor"/],
    ['/:toString', /bad name "toString"/],
    ['/*path/more', /wildcard that is not its last segment/],
    ['/:id/notes/:id', /name "id" twice/],
    ['/:id/*id', /name "id" twice/],
  ];
  for (const [pattern, sentence] of malformed) {
    it(`the pattern "${pattern}" is an error that names it`, () => {
      assert.throws(
        () => routerOf(`GET ${pattern}`),
        (error: Error) => {
          assert.match(error.message, sentence);
          assert.ok(error.message.includes(`"${pattern}"`));
          return true;
        },
      );
    });
  }

  for (const second of ['/users/:id', '/users/:name']) {
    it(`the pattern ${second} is an error after /users/:id for the same method`, () => {
      assert.throws(
        () => routerOf('GET /users/:id', `GET ${second}`),
        /Two routes match the same: GET \/users\/:/,
      );
    });
  }

  it('the same pattern may be registered for two methods with different parameter names', () => {
    const router = routerOf('GET /users/:id', 'DELETE /users/:name');
    const match = router.match('DELETE', '/users/7');
    assert.deepEqual(match, { kind: 'found', value: 'DELETE /users/:name', params: { name: '7' } });
  });
});

describe('several patterns that match', () => {
  const cases: [routes: string[], asked: string, found: string][] = [
    [['GET /users/:id', 'GET /users/me'], 'GET /users/me', 'GET /users/me'],
    [['GET /users/me', 'GET /users/:id'], 'GET /users/me', 'GET /users/me'],
    [['GET /*all', 'GET /:id'], 'GET /x', 'GET /:id'],
    [['GET /*all', 'GET /:id'], 'GET /x/y', 'GET /*all'],
    [['GET /a/*all', 'GET /:x/b'], 'GET /a/b', 'GET /a/*all'],
    [['GET /a/:x', 'GET /:y/b'], 'GET /a/b', 'GET /a/:x'],
    [['GET /a/b/c', 'GET /a/:x/d', 'GET /*all'], 'GET /a/b/d', 'GET /a/:x/d'],
    [['GET /a/b/c', 'GET /a/:x/d', 'GET /*all'], 'GET /a/b/e', 'GET /*all'],
    [['POST /users/me', 'GET /users/:id'], 'GET /users/me', 'GET /users/:id'],
    [['POST /users/:id', 'GET /users/*rest'], 'GET /users/me', 'GET /users/*rest'],
  ];
  for (const [routes, asked, found] of cases) {
    it(`the router matches ${asked} to ${found} among ${routes.join(', ')}`, () => {
      const [method = '', path = ''] = asked.split(' ');
      const match = routerOf(...routes).match(method, path);
      assert.equal(match.kind === 'found' && match.value, found);
    });
  }

  it('a parameter of an abandoned branch is not in the match', () => {
    const match = routerOf('GET /:a/:b/x', 'GET /:a/*rest').match('GET', '/1/2/3');
    assert.deepEqual(match, { kind: 'found', value: 'GET /:a/*rest', params: { a: '1', rest: '2/3' } });
  });
});

describe('a path whose method is not registered', () => {
  it('the allowed methods are those of the path, HEAD if it has GET, and OPTIONS', () => {
    const router = routerOf('GET /users/:id', 'DELETE /users/:id', 'POST /users');
    assert.deepEqual(router.match('PUT', '/users/7'), {
      kind: 'wrong-method',
      allow: 'DELETE, GET, HEAD, OPTIONS',
    });
    assert.deepEqual(router.match('GET', '/users'), { kind: 'wrong-method', allow: 'OPTIONS, POST' });
    assert.deepEqual(router.match('OPTIONS', '/users'), { kind: 'wrong-method', allow: 'OPTIONS, POST' });
  });

  it('the allowed methods are those of every pattern that matches the path', () => {
    const router = routerOf('GET /users/me', 'PATCH /users/:id', 'PUT /*all');
    assert.deepEqual(router.match('DELETE', '/users/me'), {
      kind: 'wrong-method',
      allow: 'GET, HEAD, OPTIONS, PATCH, PUT',
    });
  });

  it('HEAD matches the route of GET', () => {
    const router = routerOf('GET /users/:id');
    assert.deepEqual(router.match('HEAD', '/users/7'), {
      kind: 'found',
      value: 'GET /users/:id',
      params: { id: '7' },
    });
    assert.deepEqual(routerOf('POST /users').match('HEAD', '/users'), {
      kind: 'wrong-method',
      allow: 'OPTIONS, POST',
    });
  });
});

describe('a trailing slash', () => {
  const router = routerOf('GET /', 'GET /users', 'GET /users/:id', 'GET /assets/*path');
  const table: [path: string, kind: string][] = [
    ['/users/', 'trailing-slash'],
    ['/users/7/', 'trailing-slash'],
    ['/users//', 'unknown'],
    ['/assets/a/', 'found'],
    ['/assets/', 'unknown'],
    ['/nothing/', 'unknown'],
    ['//', 'trailing-slash'],
    ['/', 'found'],
  ];
  for (const [path, kind] of table) {
    it(`the router reports ${path} as ${kind}`, () => assert.equal(router.match('GET', path).kind, kind));
  }

  it('a trailing slash is reported for every method', () => {
    assert.equal(router.match('DELETE', '/users/').kind, 'trailing-slash');
  });
});

describe('parameters', () => {
  it('the parameters of a static pattern are a frozen empty object', () => {
    const router = routerOf('GET /users');
    const match = router.match('GET', '/users');
    assert.ok(match.kind === 'found' && Object.isFrozen(match.params));
  });
});

/** A reference implementation without a tree: tries every pattern and selects the best one, segment by segment. */
function matchNaively(entries: readonly Entry<string>[], method: string, path: string): string {
  const segments = path.slice(1).split('/');
  const fits = entries.flatMap((entry) => {
    const pattern = entry.path.slice(1).split('/');
    const ranks: number[] = [];
    const params: string[] = [];
    for (const [index, part] of pattern.entries()) {
      const segment = segments[index];
      if (segment === undefined) return [];
      if (part.startsWith('*')) {
        if (segment === '') return [];
        ranks.push(2);
        params.push(`${part.slice(1)}=${segments.slice(index).join('/')}`);
        return [{ entry, ranks, params }];
      }
      if (part.startsWith(':')) {
        if (segment === '') return [];
        ranks.push(1);
        params.push(`${part.slice(1)}=${segment}`);
      } else if (part === segment) ranks.push(0);
      else return [];
    }
    return pattern.length === segments.length ? [{ entry, ranks, params }] : [];
  });
  const best = fits
    .filter(({ entry }) => entry.method === method)
    .sort(
      (a, b) =>
        a.ranks.map((rank, at) => rank - (b.ranks[at] ?? 0)).find((difference) => difference !== 0) ?? 0,
    )[0];
  if (best !== undefined) return `${best.entry.value} ${best.params.join('&')}`;
  return fits.length > 0
    ? `wrong-method ${[...new Set(fits.map(({ entry }) => entry.method))].sort()}`
    : 'unknown';
}

it('for any routes and any path, the router finds the same as trying every pattern', () => {
  const literal = fc.constantFrom('a', 'b', 'c');
  const pattern = fc
    .tuple(fc.array(fc.oneof(literal, fc.constant(':')), { maxLength: 4 }), fc.boolean())
    .map(([parts, wild]) => [...parts, ...(wild || parts.length === 0 ? ['*'] : [])])
    .map(
      (parts) =>
        `/${parts.map((part, index) => (part === ':' || part === '*' ? `${part}p${index}` : part)).join('/')}`,
    );
  const entry = fc
    .tuple(fc.constantFrom('DELETE', 'PATCH', 'POST'), pattern)
    .map(([method, path]) => ({ method, path, value: `${method} ${path}` }));
  const routes = fc.uniqueArray(entry, { selector: ({ value }) => value, maxLength: 12 });
  const path = fc
    .array(fc.oneof({ arbitrary: literal, weight: 6 }, fc.constantFrom('', 'd', '..', '__proto__')), {
      minLength: 1,
      maxLength: 6,
    })
    .map((parts) => `/${parts.join('/')}`);

  fc.assert(
    fc.property(routes, fc.constantFrom('DELETE', 'PATCH', 'POST'), path, (entries, method, asked) => {
      const match = createRouter(entries).match(method, asked);
      const expected = matchNaively(entries, method, asked);
      if (match.kind === 'found') {
        const params = Object.entries(match.params).map(([name, value]) => `${name}=${value}`);
        assert.equal(`${match.value} ${params.join('&')}`, expected);
      } else if (match.kind === 'wrong-method') {
        const allowed = match.allow.split(', ').filter((each) => each !== 'OPTIONS');
        assert.equal(`wrong-method ${allowed}`, expected);
      } else {
        assert.equal(expected, 'unknown');
        const isKnownWithout =
          asked.endsWith('/') &&
          asked !== '/' &&
          matchNaively(entries, method, asked.slice(0, -1)) !== 'unknown';
        assert.equal(match.kind, isKnownWithout ? 'trailing-slash' : 'unknown');
      }
    }),
    { numRuns: 3000 },
  );
});

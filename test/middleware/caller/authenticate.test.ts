import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Credential,
  CredentialError,
  type CredentialErrorReason,
} from '../../../src/auth/authenticator.ts';
import type { Principal } from '../../../src/auth/principal.ts';
import { AppError } from '../../../src/errors.ts';
import { compose } from '../../../src/http/compose.ts';
import type { Route } from '../../../src/http/route.ts';
import { authenticate } from '../../../src/middleware/caller/authenticate.ts';
import { createMetrics } from '../../../src/observability/metrics/metrics.ts';
import { createRejectedClients } from '../../../src/observability/rejected-clients.ts';
import { captureLog } from '../../helpers/captured-log.ts';
import { makeContext } from '../../helpers/context.ts';
import { testRoute } from '../../helpers/test-route.ts';

const ada: Principal = {
  kind: 'session',
  sessionId: 'session-of-ada',
  userId: 1,
  username: 'ada',
  role: 'user',
};
const expired = new CredentialError('expired', 'The access token has expired: refresh it.');
const away = new AppError('database_unavailable', 'The database is away.');

/** Credentials that are named after the reason of their rejection. */
const namedReasons: readonly CredentialErrorReason[] = [
  'unknown_key',
  'bad_signature',
  'unknown_api_key',
  'not_yet_valid',
  'wrong_audience',
  'session_over',
];

/** The principal of a credential by its text: found synchronously, found later, or rejected. */
const answers: Readonly<Record<string, () => Principal | Promise<Principal>>> = {
  known: () => ada,
  slow: () => Promise.resolve(ada),
  expired: () => Promise.reject(expired),
  away: () => Promise.reject(away),
  ...Object.fromEntries(
    namedReasons.map((reason) => [reason, () => Promise.reject(new CredentialError(reason, 'No.'))]),
  ),
};

const open = testRoute('GET', '/', () => null);

interface Asked {
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** The route; null for a path without a route. */
  readonly route?: Partial<Route> | null;
}

/** Sends headers through the layer as Node presents them: of two fields with one name, it keeps the first. */
async function ask({ headers = [], route = {} }: Asked) {
  const captured = captureLog();
  const metrics = createMetrics();
  const asked: Credential[] = [];
  const layer = authenticate({
    rejected: createRejectedClients(captured.log),
    metrics,
    authenticator: {
      identify(credential) {
        asked.push(credential);
        const text = credential.kind === 'bearer' ? credential.token : credential.key;
        return answers[text]?.() ?? Promise.reject(new CredentialError('malformed', 'This is no token.'));
      },
      identifyNow: () => Promise.reject(expired),
    },
    realm: 'Strata',
    apiKeyHeader: 'X-Api-Key',
  });
  const ctx = makeContext({
    headers: Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]).reverse()),
    peer: '192.0.2.1',
    ...(route !== null && { route: { ...open, ...route } }),
  });
  ctx.request.rawHeaders = headers.flat();
  let wentOn = false;
  const run = compose([{ name: 'authenticate', run: layer }], () => {
    wentOn = true;
    return undefined;
  });
  let rejection: unknown;
  let promised = false;
  try {
    const done = run(ctx);
    promised = done !== undefined;
    await done;
    rejection = ctx.error;
  } catch (error) {
    rejection = error;
  }
  assert.equal(wentOn, rejection === undefined);
  return { ctx, asked, rejection, promised, log: captured };
}

function mustBeProblem(error: unknown): AppError {
  assert.ok(error instanceof AppError, String(error));
  return error;
}

describe('a request without credentials', () => {
  it('a request without credentials continues without a look-up', async () => {
    const { ctx, asked, promised } = await ask({});
    assert.equal(ctx.principal, undefined);
    assert.deepEqual(asked, []);
    assert.equal(promised, false);
  });
});

describe('a request with credentials', () => {
  const shown: [what: string, header: [string, string], credential: Credential][] = [
    ['an access token', ['Authorization', 'Bearer known'], { kind: 'bearer', token: 'known' }],
    ['a scheme in another case', ['authorization', 'bEARER known'], { kind: 'bearer', token: 'known' }],
    ['several spaces', ['Authorization', 'Bearer   known'], { kind: 'bearer', token: 'known' }],
    ['an API key', ['X-API-KEY', 'known'], { kind: 'apiKey', key: 'known' }],
  ];
  for (const [what, header, credential] of shown) {
    it(`a request with valid credentials continues with its principal: ${what}`, async () => {
      const { ctx, asked, promised } = await ask({ headers: [header] });
      assert.equal(ctx.principal, ada);
      assert.deepEqual(asked, [credential]);
      assert.equal(promised, false);
    });
  }

  it('a request with credentials waits for its principal to be looked up', async () => {
    const { ctx, promised } = await ask({ headers: [['Authorization', 'Bearer slow']] });
    assert.equal(ctx.principal, ada);
    assert.equal(promised, true);
  });

  it('an error of the database during the look-up passes unchanged', async () => {
    const { rejection, log } = await ask({ headers: [['Authorization', 'Bearer away']] });
    assert.equal(rejection, away);
    assert.deepEqual(log.lines(), []);
  });
});

it('inner layers can identify the caller again in the database, and get the same 401', async () => {
  const { ctx } = await ask({ headers: [['Authorization', 'Bearer known']] });
  await assert.rejects(async () => ctx.identifyNow?.(), {
    code: 'unauthenticated',
    message: expired.message,
    headers: {
      'www-authenticate': `Bearer realm="Strata", error="invalid_token", error_description="${expired.message}"`,
    },
  });
});

describe('invalid credentials', () => {
  const routes: [what: string, route: Partial<Route> | null][] = [
    ['an open route', {}],
    ['a route for users', { auth: 'user' }],
    ['a path without a route', null],
  ];
  for (const [what, route] of routes) {
    it(`invalid credentials get 401 on ${what}, with the reason in the challenge`, async () => {
      const { rejection } = await ask({ headers: [['Authorization', 'Bearer expired']], route });
      const { code, message, layer, headers } = mustBeProblem(rejection);
      assert.deepEqual([code, layer, message], ['unauthenticated', 'authenticate', expired.message]);
      assert.equal(
        headers?.['www-authenticate'],
        `Bearer realm="Strata", error="invalid_token", error_description="${expired.message}"`,
      );
    });
  }

  const plain = 'Bearer realm="Strata"';
  const invalid = `${plain}, error="invalid_token", error_description="This is no token."`;
  const table: [what: string, header: [string, string], challenge: string, reason: string][] = [
    ['another scheme', ['Authorization', 'Basic YWRhOnNlY3JldA=='], plain, 'unsupported_scheme'],
    ['a scheme without a token', ['Authorization', 'Bearer'], plain, 'unsupported_scheme'],
    ['an empty field', ['Authorization', ''], plain, 'unsupported_scheme'],
    ['a token without its scheme', ['Authorization', 'known'], plain, 'unsupported_scheme'],
    [
      'a scheme that only starts with Bearer',
      ['Authorization', 'Bearers known'],
      plain,
      'unsupported_scheme',
    ],
    ['a tab instead of a space', ['Authorization', 'Bearer\tknown'], plain, 'unsupported_scheme'],
    ['two tokens', ['Authorization', 'Bearer known known'], invalid, 'malformed'],
    ['parameters after the token', ['Authorization', 'Bearer known, realm="x"'], invalid, 'malformed'],
    ['a malformed token', ['Authorization', 'Bearer nonsense'], invalid, 'malformed'],
    ['a malformed API key', ['X-Api-Key', 'nonsense'], plain, 'malformed'],
    ['an empty API key', ['X-Api-Key', ''], plain, 'malformed'],
  ];
  for (const [what, header, challenge, reason] of table) {
    it(`invalid credentials are rejected and logged without their text: ${what}`, async () => {
      const { rejection, log } = await ask({ headers: [header] });
      const { code, headers } = mustBeProblem(rejection);
      assert.equal(code, 'unauthenticated');
      assert.equal(headers?.['www-authenticate'], challenge);
      const [line] = log.of('auth.credentials.refused');
      assert.deepEqual([line?.level, line?.reason, line?.client_address], ['warning', reason, '192.0.2.1']);
      assert.ok(!/known|nonsense|YWRh/.test(log.text()));
    });
  }
});

describe('a guess', () => {
  const table: [reason: CredentialErrorReason, isGuess: boolean][] = [
    ['malformed', true],
    ['unknown_key', true],
    ['bad_signature', true],
    ['unknown_api_key', true],
    ['expired', false],
    ['not_yet_valid', false],
    ['wrong_audience', false],
    ['session_over', false],
  ];
  for (const [reason, isGuess] of table) {
    it(`a credential that is refused as ${reason} is ${isGuess ? 'a guess' : 'no guess, because this server has issued it'}`, async () => {
      const { rejection } = await ask({ headers: [['Authorization', `Bearer ${reason}`]] });
      assert.equal(mustBeProblem(rejection).isGuess, isGuess);
    });
  }
});

describe('more than one credential', () => {
  const bearer = ['Authorization', 'Bearer known'] as const;
  const key = ['X-Api-Key', 'known'] as const;
  const table: [what: string, headers: Asked['headers']][] = [
    ['a token and a key', [bearer, key]],
    ['two tokens in two fields', [bearer, ['authorization', 'Bearer slow']]],
    ['the same token twice', [bearer, bearer]],
    ['two keys in two fields', [key, ['x-api-key', 'slow']]],
  ];
  for (const [what, headers] of table) {
    it(`more than one credential gets 400 without a look-up: ${what}`, async () => {
      const { rejection, asked } = await ask({ headers: headers ?? [] });
      assert.equal(mustBeProblem(rejection).code, 'bad_request');
      assert.deepEqual(asked, []);
    });
  }
});

describe('routes without authentication', () => {
  const bad = [['Authorization', 'Basic Og==']] as const;
  it('a route with its own credential, such as the login, ignores the usual credentials', async () => {
    const { rejection, ctx } = await ask({ headers: bad, route: { auth: 'own' } });
    assert.equal(rejection, undefined);
    assert.equal(ctx.principal, undefined);
  });

  it('an open probe ignores credentials, and any other probe checks them', async () => {
    assert.equal((await ask({ headers: bad, route: { limit: 'exempt' } })).rejection, undefined);
    const closed = await ask({ headers: bad, route: { limit: 'exempt', auth: 'user' } });
    assert.equal(mustBeProblem(closed.rejection).code, 'unauthenticated');
  });
});

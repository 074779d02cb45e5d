import type { TestContext } from 'node:test';
import type { Scope } from '../../src/auth/principal.ts';
import { type ApiClient, createApiClient } from './api-client.ts';
import { mustStartApp, type TestApp } from './test-app.ts';
import { mustCreateDatabase } from './test-database.ts';

export interface TestApi extends ApiClient {
  readonly app: TestApp;
}

/** Starts the whole application with a new database until the end of the test, and a client of its API. */
export async function mustServeApi(
  t: Pick<TestContext, 'after'>,
  env: Readonly<Record<string, string>> = {},
): Promise<TestApi> {
  const app = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), env });
  return { ...createApiClient(app.url), app };
}

/** A user as responses show it. */
export interface TestUser {
  readonly id: number;
  readonly username: string;
  readonly email: string;
  readonly email_verified: boolean;
  readonly role: string;
  readonly created_at: string;
  readonly updated_at: string;
}

export const testPassword = 'correct horse battery staple';

/** Registers a user with an e-mail address made from the name. */
export async function mustRegister(api: ApiClient, username: string): Promise<TestUser> {
  const user = { username, email: `${username}@example.org`, password: testPassword };
  const { status, text, body } = await api.post('/api/v1/users', user);
  if (status !== 201) throw new Error(`${username} was not registered: ${text}`);
  return body;
}

/** A client of the API that sends the access token of its user with every request. */
export interface SignedIn extends ApiClient {
  readonly user: TestUser;
  /** The headers with the access token. */
  readonly headers: { readonly authorization: string };
}

/** Registers a user and signs in. One address may sign in 10 times a minute. */
export async function mustSignIn(api: ApiClient, username: string): Promise<SignedIn> {
  return mustLogIn(api, await mustRegister(api, username));
}

/** Registers a user, makes the user an admin as the operator does, and signs in. */
export async function mustSignInAdmin(api: TestApi, username: string): Promise<SignedIn> {
  const user = await mustRegister(api, username);
  await api.app.database.sql`update users set role = 'admin' where id = ${user.id}`;
  return mustLogIn(api, { ...user, role: 'admin' });
}

/** Signs in a registered user. The default is the password of these helpers. */
export async function mustLogIn(
  api: ApiClient,
  user: TestUser,
  password: string = testPassword,
): Promise<SignedIn> {
  const response = await api.post('/api/v1/auth/login', { username: user.username, password });
  if (response.status !== 200) throw new Error(`${user.username} could not sign in: ${response.text}`);
  const headers = { authorization: `Bearer ${response.body.access_token}` };
  return { ...api.withHeaders(headers), user, headers };
}

/** Creates an API key for a signed-in user. */
export async function mustMakeKey(owner: SignedIn, scopes: readonly Scope[]): Promise<string> {
  const { status, text, body } = await owner.post('/api/v1/auth/api-keys', { name: 'A program', scopes });
  if (status !== 201) throw new Error(`The API key was not made: ${text}`);
  return body.key;
}

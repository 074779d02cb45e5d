import type { TestContext } from 'node:test';
import { type ApiClient, createApiClient } from './api-client.ts';
import { mustStartApp, type TestApp } from './test-app.ts';
import { mustCreateDatabase } from './test-database.ts';

export interface TestApi extends ApiClient {
  readonly app: TestApp;
}

/** Starts the whole application over a database of its own, for the length of a test, with a client of its API. */
export async function mustServeApi(
  t: Pick<TestContext, 'after'>,
  env: Readonly<Record<string, string>> = {},
): Promise<TestApi> {
  const app = await mustStartApp(t, { databaseUrl: await mustCreateDatabase(t), env });
  return { ...createApiClient(app.url), app };
}

/** A user as answers show it. */
export interface TestUser {
  readonly id: number;
  readonly username: string;
  readonly email: string;
  readonly created_at: string;
  readonly updated_at: string;
}

export const testPassword = 'correct horse battery staple';

/** Registers a user; the address is made of the name. */
export async function mustRegister(api: ApiClient, username: string): Promise<TestUser> {
  const user = { username, email: `${username}@example.org`, password: testPassword };
  const { status, text, body } = await api.post('/api/v1/users', user);
  if (status !== 201) throw new Error(`${username} was not registered: ${text}`);
  return body;
}

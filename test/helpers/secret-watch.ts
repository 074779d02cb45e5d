/**
 * Watches the traffic of every test that talks to the whole application: a secret that was sent or received must not appear
 * in the log. The client records the secrets, and the application helper searches the log for them at the end of each test.
 * So every test of the suite also tests this rule.
 */

import assert from 'node:assert/strict';
import { fileState } from '../runner/file-state.ts';
import { testSecret } from './test-secret.ts';

/** Members of bodies whose value is a secret or a full e-mail address, which no log line may contain. */
const secretMember = /(?:password|token|secret|^key$|^email$)/i;

/** Headers whose value is or contains a secret. */
const secretHeader = /^(?:authorization|cookie|set-cookie|x-api-key)$/i;

/** Shorter texts would match by chance. */
const minLength = 12;

let secrets = new Set<string>([testSecret]);
let file = fileState.number;

/** Returns the secrets of the running test file: those of another file in the same process may be words in this one. */
function secretsOfFile(): Set<string> {
  if (file !== fileState.number) {
    file = fileState.number;
    secrets = new Set([testSecret]);
  }
  return secrets;
}

/** Records the secrets in a body: JSON text, a value or a form. Any other body contains none. */
export function noteBody(body: unknown): void {
  if (typeof body === 'string') {
    noteBody(parse(body));
  } else if (typeof body === 'object' && body !== null) {
    for (const [name, value] of Object.entries(body)) {
      const isSecret = secretMember.test(name) || (name === 'username' && String(value).includes('@'));
      if (typeof value === 'string' && isSecret) note(value);
      else if (typeof value === 'object') noteBody(value);
    }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return Object.fromEntries(new URLSearchParams(text));
  }
}

/** Records the secrets in headers: the credential without its scheme, and the value of each cookie. */
export function noteHeaders(headers: Headers | Readonly<Record<string, string>>): void {
  const entries = headers instanceof Headers ? headers.entries() : Object.entries(headers);
  for (const [name, value] of entries) {
    if (!secretHeader.test(name)) continue;
    for (const part of value.split(/[ ;,=]/)) note(part);
  }
}

/** Records one secret that is sent in another way, such as by mail. */
export function note(secret: string): void {
  if (secret.length >= minLength && !['Authorization', 'SameSite', '__Host-refresh'].includes(secret)) {
    secretsOfFile().add(secret);
  }
}

/** Fails if the log contains a recorded secret of the test file, literally or JSON-escaped. */
export function assertNoSecretIn(log: string): void {
  const found = [...secretsOfFile()].filter(
    (secret) => log.includes(secret) || log.includes(JSON.stringify(secret).slice(1, -1)),
  );
  assert.deepEqual(found, [], 'The log contains these secrets');
}

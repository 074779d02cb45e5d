/**
 * Watches the traffic of every test that talks to the whole application: what went over the wire as a secret must not
 * stand in the application's log. The client notes the secrets, the application's helper looks for them at the end of
 * the test; so each test of the suite is one of this rule too, whatever else it is about.
 */

import assert from 'node:assert/strict';
import { testSecret } from './test-secret.ts';

/** Members of bodies whose text is a secret, and whole addresses, which no log line may hold either. */
const secretMember = /(?:password|token|secret|^key$|^email$)/i;

/** Headers whose value is a secret, or holds one. */
const secretHeader = /^(?:authorization|cookie|set-cookie|x-api-key)$/i;

/** Shorter texts would be found by accident. */
const minLength = 12;

const secrets = new Set<string>([testSecret]);

/** Notes what is secret in a body: JSON text or a value, a form, or anything else, which holds none. */
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

/** Notes what is secret in headers: the credential without its scheme, each cookie's value. */
export function noteHeaders(headers: Headers | Readonly<Record<string, string>>): void {
  const entries = headers instanceof Headers ? headers.entries() : Object.entries(headers);
  for (const [name, value] of entries) {
    if (!secretHeader.test(name)) continue;
    for (const part of value.split(/[ ;,=]/)) note(part);
  }
}

/** Notes one secret that travels in another way, such as by mail. */
export function note(secret: string): void {
  if (secret.length >= minLength && !['Authorization', 'SameSite', '__Host-refresh'].includes(secret)) {
    secrets.add(secret);
  }
}

/** Fails if a secret that was noted in this process stands in the log, as it is or as JSON writes it. */
export function assertNoSecretIn(log: string): void {
  const found = [...secrets].filter(
    (secret) => log.includes(secret) || log.includes(JSON.stringify(secret).slice(1, -1)),
  );
  assert.deepEqual(found, [], 'These secrets stand in the log');
}

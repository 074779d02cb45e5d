/**
 * The person of the principal scenario as JSON text. Ours checks every value against the response schema and leaves out
 * what it does not name; fast-json-stringify knows the types and coerces; JSON.stringify writes what is there.
 */

import assert from 'node:assert/strict';
import fastJsonStringify from 'fast-json-stringify';
import * as z from 'zod';
import { text, timestamp } from '../../src/http/body/fields.ts';
import { createSerialiser } from '../../src/http/serialise.ts';
import { emailRule, makePerson, usernameRule } from '../variants/people.mjs';
import { compare } from './timing.mjs';

const schema = z.object({
  id: z.int(),
  username: text(usernameRule),
  email: z.string().max(emailRule.max),
  created_at: timestamp,
});
const ours = createSerialiser(schema, 'getPerson');
const fast = fastJsonStringify({
  type: 'object',
  required: ['id', 'username', 'email', 'created_at'],
  properties: {
    id: { type: 'integer' },
    username: { type: 'string' },
    email: { type: 'string' },
    created_at: { type: 'string', format: 'date-time' },
  },
});

const people = Array.from({ length: 64 }, (_, index) => makePerson(index + 1));
const personOf = (call) => people[call % people.length];
for (const write of [ours, fast]) assert.equal(write(people[0]), JSON.stringify(people[0]));

await compare('serialisation', [
  { question: 'a person', name: 'Strata', ours: true, call: (call) => ours(personOf(call)) },
  { question: 'a person', name: 'fast-json-stringify', call: (call) => fast(personOf(call)) },
  { question: 'a person', name: 'JSON.stringify', call: (call) => JSON.stringify(personOf(call)) },
]);

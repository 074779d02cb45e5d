/** Requests and responses as JSON Schema: Fastify compiles the first into validators, the second into serialisers. */

import { emailRule, usernameRule } from '../people.mjs';

const person = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    username: { type: 'string' },
    email: { type: 'string' },
    created_at: { type: 'string', format: 'date-time' },
  },
};

const id = {
  type: 'object',
  properties: { id: { type: 'integer', minimum: 1 } },
  required: ['id'],
};

export const hello = {
  response: { 200: { type: 'object', properties: { message: { type: 'string' } } } },
};

export const getPerson = { params: id, response: { 200: person } };

export const createPerson = {
  body: {
    type: 'object',
    properties: {
      username: {
        type: 'string',
        minLength: usernameRule.min,
        maxLength: usernameRule.max,
        pattern: usernameRule.pattern.source,
      },
      email: { type: 'string', format: 'email', maxLength: emailRule.max },
    },
    required: ['username', 'email'],
    additionalProperties: false,
  },
  response: { 201: person },
};

export const me = { response: { 200: person } };

export const list = {
  response: { 200: { type: 'object', properties: { items: { type: 'array', items: person } } } },
};

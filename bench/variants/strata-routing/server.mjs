/**
 * Strata without its layers: error boundary, router and handler. The counterpart of a framework's routing;
 * not for production. The two layers that guard routes cannot be removed, and have nothing to do here.
 */

import { raw } from '../../../src/http/reply.ts';
import { route } from '../../../src/http/route.ts';
import { layerNames } from '../../../src/settings/layer-names.ts';
import { makePerson } from '../people.mjs';
import { serve } from '../strata/serve.mjs';

const json = 'application/json';

const sayHello = route({
  method: 'GET',
  path: '/hello',
  operationId: 'sayHello',
  summary: 'Say hello',
  tags: ['meta'],
  auth: 'none',
  responses: { 200: { description: 'The greeting.', contentType: json } },
  handler: () => raw(JSON.stringify({ message: 'Hello, world' }), json),
});

const getPerson = route({
  method: 'GET',
  path: '/people/:id',
  operationId: 'getPerson',
  summary: 'Read a person',
  tags: ['meta'],
  auth: 'none',
  responses: { 200: { description: 'The person.', contentType: json } },
  handler: ({ ctx }) => raw(JSON.stringify(makePerson(Number(ctx.match.params.id))), json),
});

const guards = ['authenticate', 'authorise', 'recheck-authority'];
await serve([sayHello, getPerson], { disabledLayers: layerNames.filter((name) => !guards.includes(name)) });

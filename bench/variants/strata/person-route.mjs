import { z } from 'zod';
import { text, timestamp } from '../../../dist/http/fields.js';
import { idParameter } from '../../../dist/http/parameters.js';
import { route } from '../../../dist/http/route.js';

const params = z.object({ id: idParameter });
const person = z.object({
  id: z.int(),
  username: text({ min: 3, max: 50 }),
  email: z.string().max(254),
  created_at: timestamp,
});

/** The measured route, declared as the features declare theirs. `findPerson` may return a promise; `auth` says who may call it. */
export function personRoute(findPerson, auth = 'none') {
  return route({
    method: 'GET',
    path: '/people/:id',
    operationId: 'getPerson',
    summary: 'Read a person',
    tags: ['bench'],
    auth,
    params,
    responses: { 200: { description: 'The person.', schema: person } },
    handler: ({ params }) => findPerson(params.id),
  });
}

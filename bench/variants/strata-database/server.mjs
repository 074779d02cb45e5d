/** Strata, whole, reading one row by its id. */

import { AppError } from '../../../dist/errors.js';
import { personRoute } from '../strata/person-route.mjs';
import { serve } from '../strata/serve.mjs';

const { database } = await serve([personRoute(findPerson)]);

async function findPerson(id) {
  const [person] = await database.sql`select id, username, email, created_at from people where id = ${id}`;
  if (person === undefined) throw new AppError('not_found', 'There is no such person.');
  return person;
}

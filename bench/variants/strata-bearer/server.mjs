/** Strata, whole, on a route for those who have signed in. What it answers is made as in `strata`, without a query. */

import { makePerson } from '../people.mjs';
import { personRoute } from '../strata/person-route.mjs';
import { serve } from '../strata/serve.mjs';

await serve([personRoute(makePerson, 'user')]);

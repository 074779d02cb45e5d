/** Strata, whole: the pipeline of production, validation, the response through its schema. */

import { makePerson } from '../people.mjs';
import { personRoute } from './person-route.mjs';
import { serve } from './serve.mjs';

await serve([personRoute(makePerson)]);

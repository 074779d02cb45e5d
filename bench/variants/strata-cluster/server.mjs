/** Strata, whole, as two workers and their primary, which share one limit. All of it runs on the server's processor. */

import { runProgram } from '../../../dist/program.js';
import { makePerson } from '../people.mjs';
import { personRoute } from '../strata/person-route.mjs';
import { environment } from '../strata/settings.mjs';

Object.assign(process.env, environment(), { APP_WORKERS: '2' });
runProgram({ extraRoutes: [personRoute(makePerson)] });

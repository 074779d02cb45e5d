/** Strata, whole: the pipeline of production, validation, the response through its schema. */

import { disabledLayers } from '../environment.mjs';
import { routes } from './routes.mjs';
import { serve } from './serve.mjs';

const { database } = await serve(
  routes(() => database),
  { disabledLayers },
);

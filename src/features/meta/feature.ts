import type { Feature } from '../feature.ts';
import { metaRoutes, startRoute } from './routes.ts';

/** The public facts about the service. */
export const meta = {
  name: 'meta',
  tags: [{ name: 'meta', description: 'The name, version and documentation of this service.' }],
  routes: ({ settings: { application } }) => metaRoutes({ application }),
  rootRoutes: ({ settings: { application } }) => [startRoute({ application })],
} satisfies Feature;

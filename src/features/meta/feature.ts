import type { Feature } from '../feature.ts';
import { metaRoutes } from './routes.ts';

/** What the service says of itself. */
export const meta = {
  name: 'meta',
  tags: [{ name: 'meta', description: 'The name, version and documentation of this service.' }],
  routes: ({ settings: { application } }) => metaRoutes({ application }),
} satisfies Feature;

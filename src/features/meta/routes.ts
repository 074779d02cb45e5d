import { type Route, route } from '../../http/route.ts';
import { describeService, type MetaOptions } from './meta.ts';
import { serviceMeta } from './schema.ts';

/** The route with the name, the version and the documentation of the service. */
export function metaRoutes({ application }: { readonly application: MetaOptions }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/meta',
      operationId: 'getMeta',
      summary: 'Describe this service',
      description:
        'Name, version, environment and uptime of the server that answers, and where its API is documented.',
      tags: ['meta'],
      auth: 'none',
      responses: { 200: { description: 'The service.', schema: serviceMeta } },
      handler: () => describeService(application, process.uptime()),
    }),
  ];
}

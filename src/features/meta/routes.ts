import { acceptsHtml } from '../../http/headers/negotiate.ts';
import { redirect } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import { describeService, linkService, type MetaOptions } from './meta.ts';
import { serviceLinks, serviceMeta } from './schema.ts';

/** The route with the name, the version and the documentation of the service. */
export function metaRoutes({ application }: { readonly application: MetaOptions }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/meta',
      operationId: 'getMeta',
      summary: 'Describe this service',
      description:
        'Name, version, environment and uptime of the server that answers, and where its API is documented. Caches may keep ' +
        'the response for ten seconds.',
      tags: ['meta'],
      auth: 'none',
      cache: { scope: 'public', maxAge: 10 },
      responses: { 200: { description: 'The service.', schema: serviceMeta } },
      handler: () => describeService(application, process.uptime()),
    }),
  ];
}

/** The path `/`, where a person starts who knows only the host: in local, a browser is sent to the docs page. */
export function startRoute({ application }: { readonly application: MetaOptions }): Route {
  const { environment, docsUrl } = application;
  return route({
    method: 'GET',
    path: '/',
    operationId: 'getStart',
    summary: 'Links to the API and its documentation',
    tags: ['meta'],
    auth: 'none',
    hidden: true,
    responses: {
      200: { description: 'The links.', schema: serviceLinks },
      307: { description: 'The docs page.' },
    },
    handler({ ctx }) {
      const isBrowser = acceptsHtml(ctx.request.headers.accept);
      return environment === 'local' && docsUrl !== null && isBrowser
        ? redirect(307, docsUrl)
        : linkService(application);
    },
  });
}

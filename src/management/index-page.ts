/**
 * The path `/` of the management port: a page with links for a person, JSON for a program. It contains no data, so it
 * requires no token. Its styles are those of the jobs dashboard. Two scripts read the firing alerts from `/alerts`, with the token
 * that another page or section has asked for, and the bans from `/bans`.
 */

import { acceptsHtml } from '../http/headers/negotiate.ts';
import { raw } from '../http/reply.ts';
import { type Route, route } from '../http/route.ts';
import { bansSection } from './bans/section.ts';
import { htmlHeaders } from './jobs/page.ts';

export interface IndexOptions {
  /** Whether the port serves the jobs dashboard. */
  readonly hasJobs: boolean;
  /** Whether the port serves the bans. */
  readonly hasBans: boolean;
  /** Whether a token is configured, which some of the links need. */
  readonly hasToken: boolean;
}

interface Link {
  readonly name: string;
  readonly path: string;
  readonly title: string;
  readonly about: string;
  readonly needsToken?: boolean;
}

const jobsLink: Link = {
  name: 'jobs',
  path: '/jobs',
  title: 'Jobs',
  about: 'The background jobs: what waits, runs and failed, and how long it took.',
};

const bansLink: Link = {
  name: 'bans',
  path: '/bans',
  title: 'Bans',
  about: 'The clients that are refused for a while, as JSON.',
  needsToken: true,
};

const links: readonly Link[] = [
  {
    name: 'metrics',
    path: '/metrics',
    title: 'Metrics',
    about: 'All processes together, in the text format of Prometheus.',
    needsToken: true,
  },
  {
    name: 'workers',
    path: '/workers',
    title: 'Workers',
    about: 'Each process, as JSON: state, age, requests, memory and event-loop lag.',
    needsToken: true,
  },
  {
    name: 'alerts',
    path: '/alerts',
    title: 'Alerts',
    about: 'The firing alerts of the program, as JSON.',
    needsToken: true,
  },
  {
    name: 'ready',
    path: '/readyz',
    title: 'Ready',
    about: 'Probe: 200 while requests can be answered, else 503.',
  },
  {
    name: 'live',
    path: '/livez',
    title: 'Live',
    about: 'Probe: 200 as long as the supervising process answers.',
  },
];

/** Returns the route of the path `/`. */
export function indexRoute({ hasJobs, hasBans, hasToken }: IndexOptions): Route {
  const served = [...(hasJobs ? [jobsLink] : []), ...(hasBans ? [bansLink] : []), ...links];
  const paths = JSON.stringify(Object.fromEntries(served.map(({ name, path }) => [name, path])));
  const html = renderPage(served, { hasBans, hasToken });
  return route({
    method: 'GET',
    path: '/',
    operationId: 'getManagementIndex',
    summary: 'Links to the pages of this port',
    tags: ['management'],
    auth: 'none',
    hidden: true,
    responses: { 200: { description: 'The page, or the paths as JSON.', contentType: 'text/html' } },
    handler({ ctx }) {
      return acceptsHtml(ctx.request.headers.accept)
        ? raw(html, 'text/html; charset=utf-8', htmlHeaders)
        : raw(paths, 'application/json');
    },
  });
}

function renderPage(
  served: readonly Link[],
  { hasBans, hasToken }: Pick<IndexOptions, 'hasBans' | 'hasToken'>,
): string {
  const rows = served.map(({ path, title, about, needsToken }) => {
    const remark = hasToken && needsToken === true ? ' Needs the token.' : '';
    return `<tr><th scope="row"><a href="${path}">${title}</a></th><td class="code">${path}</td><td>${about}${remark}</td></tr>`;
  });
  const howTo = hasToken
    ? '\n  <p class="notice">Send the token of <code>APP_MANAGEMENT_TOKEN</code> as <code>Authorization: Bearer …</code>; the page of jobs asks for it.</p>'
    : '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Management port</title>
<link rel="icon" type="image/svg+xml" href="/jobs/assets/icon.svg">
<link rel="stylesheet" href="/jobs/assets/style.css">
<link rel="stylesheet" href="/jobs/assets/data.css">
<script src="/jobs/assets/theme.js"></script>
<script type="module" src="/jobs/assets/alerts.js"></script>${hasBans ? '\n<script type="module" src="/jobs/assets/bans.js"></script>' : ''}
</head>
<body>
<header class="bar"><h1>Management port</h1></header>
<main id="main">${howTo}
  <section class="panel" id="alerts" aria-labelledby="alerts-title" hidden>
    <h2 id="alerts-title">Alerts</h2>
    <p id="alerts-state" role="status"></p>
    <div class="scroll"><table><tbody id="alerts-list"></tbody></table></div>
  </section>
  <section class="panel" aria-label="Pages">
    <div class="scroll"><table><tbody>
${rows.join('\n')}
    </tbody></table></div>
  </section>${hasBans ? bansSection : ''}
</main>
</body>
</html>
`;
}

import type { Feature } from '../feature.ts';
import { createPosts } from './posts.ts';
import { postsRoutes } from './routes.ts';

const scopes = [{ name: 'posts:write', description: 'Write, change and delete posts of the user.' }] as const;

const events = ['post.created', 'post.deleted', 'post.updated'] as const;

declare module '../../auth/principal.ts' {
  interface ScopeRegistry extends Record<(typeof scopes)[number]['name'], true> {}
}

declare module '../../observability/events.ts' {
  interface EventRegistry extends Record<(typeof events)[number], true> {}
}

/** Texts that users write and everyone may read. */
export const posts = {
  name: 'posts',
  tags: [{ name: 'posts', description: 'Texts that users write.' }],
  scopes,
  events,
  dailyCounts: [{ name: 'posts', label: 'Posts', times: (sql) => sql`select created_at from posts` }],

  routes({ settings, database, cache, log, metrics }) {
    const created = metrics.counter({ name: 'posts_created_total', help: 'Posts that were created.' });
    const posts = createPosts({ database, cache, log: log.named('posts'), created: created.of() });
    return postsRoutes({ posts, prefix: settings.application.apiPrefix });
  },
} satisfies Feature;

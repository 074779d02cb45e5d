/** The features of the program: one line for each, in any order. `features/feature.ts` describes what a feature declares. */

export { alerts } from './features/alerts/feature.ts';
export { health } from './features/health/feature.ts';
export { identity } from './features/identity/feature.ts';
export { mails } from './features/mails/feature.ts';
export { meta } from './features/meta/feature.ts';
export { metrics } from './features/metrics/feature.ts';
export { posts } from './features/posts/feature.ts';
export { reports } from './features/reports/feature.ts';
export { tasks } from './features/tasks/feature.ts';
export { uploads } from './features/uploads/feature.ts';

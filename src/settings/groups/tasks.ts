import { availableParallelism } from 'node:os';
import * as z from 'zod';
import { readPostgresUrl } from '../kinds/database-url.ts';
import { boolean, integer, kind, readInteger, reject } from '../kinds/kind.ts';
import { variable } from '../variable.ts';

const maxThreads = 64;
/** The maximum for `auto`: each thread has its own V8 isolate and its own database connections. */
const maxAutoThreads = 4;
const maxRetentionDays = 3650;

/** Background jobs: whether they run, with which resources, and how long they are kept. */
export const taskSettings = z.object({
  enabled: variable('APP_TASKS_ENABLED', boolean(), {
    default: 'true',
    aliases: ['ENABLE_BACKGROUND_TASKS'],
    about:
      'Run jobs beside the server, in a separate process. With false, the server still accepts jobs, and `npm run worker` runs them.',
  }),
  threads: variable(
    'APP_TASKS_THREADS',
    kind(`an integer from 1 to ${maxThreads}, or auto`, (text) =>
      text.toLowerCase() === 'auto'
        ? Math.min(maxAutoThreads, availableParallelism())
        : readInteger(1, maxThreads)(text),
    ),
    {
      default: 'auto',
      about: `Jobs that one runner executes at a time, each in a thread with two database connections. \`auto\` means one per available processor, at most ${maxAutoThreads}.`,
    },
  ),
  threadMemoryMb: variable('APP_TASKS_THREAD_MEMORY_MB', integer(16, 65_536, 'MiB'), {
    default: '256',
    about: 'Heap limit of one thread. A job that needs more fails, and its thread is replaced.',
  }),
  brokerUrl: variable('APP_TASKS_BROKER_URL', databaseOfJobs(), {
    default: '',
    aliases: ['TASK_BROKER_URL'],
    secret: 'url-password',
    about:
      'A direct URL of the same database, for the lock and the notifications of a runner. Needed if APP_DATABASE_URL goes through a transaction pooler; otherwise APP_DATABASE_URL is used.',
  }),
  resultBackend: variable('APP_TASKS_RESULT_BACKEND', databaseOfJobs(), {
    default: '',
    aliases: ['TASK_RESULT_BACKEND'],
    secret: 'url-password',
    about:
      'Not needed, because results are in the same database as the jobs. It may repeat the URL of that database.',
  }),
  keepCompletedDays: variable('APP_TASKS_KEEP_COMPLETED_DAYS', integer(0, maxRetentionDays, 'days'), {
    default: '7',
    about: 'How long a completed job and its result are kept.',
  }),
  keepFailedDays: variable('APP_TASKS_KEEP_FAILED_DAYS', integer(0, maxRetentionDays, 'days'), {
    default: '30',
    about: 'How long a failed or cancelled job is kept. Until then it can be retried manually.',
  }),
});

/** The URL of a PostgreSQL server, or the empty default. The URL of a message broker is rejected with an explanation. */
function databaseOfJobs() {
  return kind('postgres://user:password@host:5432/database', (text) => {
    if (text === '') return text;
    if (/^(?:rediss?|valkeys?|amqps?|sentinel):/i.test(text)) {
      return reject(
        'remove it, or set it to such a URL; jobs and their results are kept in PostgreSQL, in the database of APP_DATABASE_URL, so that they commit with your data',
      );
    }
    return readPostgresUrl(text) ?? reject('it is not a URL');
  });
}

import { availableParallelism } from 'node:os';
import * as z from 'zod';
import { readPostgresUrl } from '../kinds/database-url.ts';
import { boolean, integer, kind, readInteger, reject } from '../kinds/kind.ts';
import { variable } from '../variable.ts';

const maxThreads = 64;
/** What `auto` never exceeds: a thread is an isolate of its own, with its own connections. */
const maxAutoThreads = 4;
const maxRetentionDays = 3650;

/** The jobs that run in the background: whether, with how much of the machine, and how long they are remembered. */
export const tasks = z.object({
  enabled: variable('APP_TASKS_ENABLED', boolean(), {
    default: 'true',
    aliases: ['ENABLE_BACKGROUND_TASKS'],
    phase: 4,
    about:
      'Whether the server runs jobs, in a process beside those that answer requests. With false it still takes them, and `npm run worker` runs them.',
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
      phase: 4,
      about: `Jobs that one runner works on at a time, each in a thread with two connections to the database. \`auto\` is one for each processor that this process may use, at most ${maxAutoThreads}.`,
    },
  ),
  threadMemoryMb: variable('APP_TASKS_THREAD_MEMORY_MB', integer(16, 65_536, 'MiB'), {
    default: '256',
    phase: 4,
    about: 'Memory for the objects of one thread. A job that needs more ends with its thread.',
  }),
  brokerUrl: variable('APP_TASKS_BROKER_URL', databaseOfJobs(), {
    default: '',
    aliases: ['TASK_BROKER_URL'],
    phase: 4,
    secret: 'url-password',
    about:
      'A direct way to the same database, for the lock and the wake-up of a runner, where APP_DATABASE_URL goes through a transaction pooler. Without it, APP_DATABASE_URL.',
  }),
  resultBackend: variable('APP_TASKS_RESULT_BACKEND', databaseOfJobs(), {
    default: '',
    aliases: ['TASK_RESULT_BACKEND'],
    phase: 4,
    secret: 'url-password',
    about:
      'Results stand in the same database as the jobs, so there is nothing to set; it may repeat the URL of that database.',
  }),
  keepCompletedDays: variable('APP_TASKS_KEEP_COMPLETED_DAYS', integer(0, maxRetentionDays, 'days'), {
    default: '7',
    phase: 4,
    about: 'How long a completed job, with its result, can still be looked at. Then it is deleted.',
  }),
  keepFailedDays: variable('APP_TASKS_KEEP_FAILED_DAYS', integer(0, maxRetentionDays, 'days'), {
    default: '30',
    phase: 4,
    about: 'The same for jobs that failed or were cancelled, which can be run again by hand until then.',
  }),
});

/** The URL of a PostgreSQL server, or nothing. Who brings the URL of a broker learns that none is needed. */
function databaseOfJobs() {
  return kind('postgres://user:password@host:5432/database', (text) => {
    if (text === '') return text;
    if (/^(?:rediss?|valkeys?|amqps?|sentinel):/i.test(text)) {
      return reject(
        'remove it, or set it to such a URL, for jobs and their results are kept in PostgreSQL, in the database of APP_DATABASE_URL, so that they commit with your data',
      );
    }
    return readPostgresUrl(text) ?? reject('it is not a URL');
  });
}

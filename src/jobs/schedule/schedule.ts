/**
 * Schedules: jobs that are enqueued at fixed times. They are declared in code, like tasks. The table `job_schedules`
 * stores the last handled tick of each, so any number of processes may run the scheduler (`scheduler.ts`).
 *
 * `last_tick` only increases, in the transaction that enqueues the job of the tick. A second scheduler changes no row
 * and enqueues nothing, and a scheduler that dies within the transaction has changed nothing. So each tick fires once,
 * however many schedulers run.
 *
 * The exception is a clock that was more than 5 minutes ahead and was set back. `last_tick` is then set to the present,
 * with a warning in the log, because otherwise the schedule would not fire until the clock has caught up.
 *
 * Ticks that were missed while no scheduler ran get one job with `catchUp: 'once'`, that of the last tick, and no job with
 * `skip`. A tick also gets a job if the job of the previous tick is still running; a task that must not run twice at the same
 * time has to check that itself.
 *
 * A schedule that is new, or whose expression or zone differs from the table, starts now. Earlier ticks are skipped. While two versions of the program run, the version that started last decides, and the other skips the schedule.
 */

import type * as z from 'zod';
import { jsonPointer, StartError } from '../../errors.ts';
import type { TaskDefinition } from '../task.ts';
import { parseCron } from './cron.ts';
import { createTicks, type Ticks } from './cron-ticks.ts';

export interface Schedule {
  /** Lower case with underscores. It is the key in the table, so renaming it creates a new schedule. */
  readonly name: string;
  /** A cron expression as in `cron.ts`. */
  readonly cron: string;
  /** The IANA time zone of `cron`. */
  readonly timeZone: string;
  readonly task: TaskDefinition;
  /** Returns the payload of the job of a tick. */
  readonly payload: (tick: Date) => unknown;
  readonly catchUp: CatchUp;
}

/** How ticks are handled that were missed while no scheduler ran. */
export type CatchUp = 'once' | 'skip';

/** Declares a schedule, by default in UTC and with one job for all missed ticks. It is checked at start. */
export function defineSchedule<Payload extends z.ZodType>({
  timeZone = 'UTC',
  catchUp = 'once',
  ...spec
}: {
  readonly name: string;
  readonly cron: string;
  readonly timeZone?: string;
  readonly task: TaskDefinition<Payload>;
  readonly payload: (tick: Date) => z.input<Payload>;
  readonly catchUp?: CatchUp;
}): Schedule {
  return Object.freeze({ ...spec, timeZone, catchUp });
}

/** A valid schedule with its ticks. */
export interface CompiledSchedule extends Schedule {
  readonly ticks: Ticks;
}

/**
 * Checks the schedules and computes their ticks. Throws a StartError with a sentence for each invalid one: its name,
 * expression, time zone, or a payload that its task rejects.
 */
export function compileSchedules(schedules: readonly Schedule[]): readonly CompiledSchedule[] {
  const errors: string[] = [];
  const opened = schedules.flatMap((schedule, index) => {
    try {
      if (schedules.findIndex(({ name }) => name === schedule.name) < index) {
        throw new Error('Another schedule has this name.');
      }
      return [compileSchedule(schedule)];
    } catch (error) {
      errors.push(
        `The schedule ${schedule.name} is invalid. ${error instanceof Error ? error.message : String(error)}`,
      );
      return [];
    }
  });
  if (errors.length > 0) throw new StartError(errors.join('\n'));
  return opened;
}

function compileSchedule(schedule: Schedule): CompiledSchedule {
  const { name, cron, timeZone, task } = schedule;
  if (!/^[a-z][a-z0-9_]{0,49}$/.test(name)) {
    throw new Error(
      'Its name must be at most 50 lower-case letters, digits and underscores, starting with a letter.',
    );
  }
  const ticks = createTicks(parseCron(cron), timeZone);
  const payload = task.payload.safeParse(schedule.payload(ticks.next(new Date(0))));
  if (!payload.success) {
    const [issue] = payload.error.issues;
    const pointer = jsonPointer(issue?.path ?? []);
    const place = pointer === '' ? '' : `${pointer}: `;
    throw new Error(`The task ${task.name} rejects its payload: ${place}${issue?.message}`);
  }
  return { ...schedule, ticks };
}

/**
 * Schedules: jobs by the clock. A schedule is declared in the code, as tasks are; the table `job_schedules` remembers for
 * each up to when its ticks have been dealt with, and so every process may run the scheduler (`scheduler.ts`).
 *
 * `last_tick` only grows, and in the transaction that enqueues the job of the tick. Whoever comes second changes no
 * row and enqueues nothing; who dies in between has done neither. So a tick fires once, however many run.
 *
 * The exception is a clock that was ahead by more than 5 minutes and was set back: `last_tick` is then set to the present
 * time, with a warning in the log, because else the schedule would be silent until the clock has caught up.
 *
 * Ticks that came while nothing ran: with `catchUp: 'once'` they become one job, that of the last of them; with `skip`
 * none. Each tick has a job of its own, also while the one before still runs: a task that must not overlap sees to it.
 *
 * A schedule that is new, or has another expression or zone than the table says, begins now: nothing that lies before is
 * made up for. While two versions of the program run, the one that started last decides; the other stands back.
 */

import type * as z from 'zod';
import { StartError } from '../../errors.ts';
import type { TaskDefinition } from '../task.ts';
import { parseCron } from './cron.ts';
import { createTicks, type Ticks } from './cron-ticks.ts';

export interface Schedule {
  /** Lower case with underscores. Stands in the table, so whoever renames it has a new schedule. */
  readonly name: string;
  /** When, as `cron.ts` reads it. */
  readonly cron: string;
  /** Of the IANA database: the clock that `cron` speaks of. */
  readonly timeZone: string;
  readonly task: TaskDefinition;
  /** The payload of the job of a tick. */
  readonly payload: (tick: Date) => unknown;
  readonly catchUp: CatchUp;
}

/** What becomes of ticks that came while nothing ran. */
export type CatchUp = 'once' | 'skip';

/** Declares a schedule, by default in UTC, and with one job for all ticks that were missed. It is checked at start. */
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

/** A schedule that was found to be right. */
export interface CompiledSchedule extends Schedule {
  readonly ticks: Ticks;
}

/**
 * Checks the schedules, and finds out their ticks. Throws a StartError with a sentence for each that is wrong: its name,
 * its expression, its zone, a payload that its task would not take.
 */
export function compileSchedules(schedules: readonly Schedule[]): readonly CompiledSchedule[] {
  const errors: string[] = [];
  const opened = schedules.flatMap((schedule, index) => {
    try {
      if (schedules.findIndex(({ name }) => name === schedule.name) < index) {
        throw new Error('Another one has this name.');
      }
      return [compileSchedule(schedule)];
    } catch (error) {
      errors.push(
        `The schedule ${schedule.name} is wrong. ${error instanceof Error ? error.message : String(error)}`,
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
    throw new Error('A name has at most 50 lower-case letters, digits and underscores.');
  }
  const ticks = createTicks(parseCron(cron), timeZone);
  const payload = task.payload.safeParse(schedule.payload(ticks.next(new Date(0))));
  if (!payload.success) {
    const [issue] = payload.error.issues;
    throw new Error(
      `The task ${task.name} does not take its payload: /${issue?.path.join('/')}: ${issue?.message}`,
    );
  }
  return { ...schedule, ticks };
}

import { readdirSync, readFileSync } from 'node:fs';

/** How often the delays are read, in milliseconds: the last value of a thread that exits is at most this old. */
const sampleMs = 20;

export interface RunDelayWatch {
  /** Stops and returns the delay since the start, in milliseconds. */
  stop(): number;
}

/**
 * Measures how long the threads of these processes, and of this one, are ready to run and wait for a processor (Linux:
 * `/proc/PID/task/TID/schedstat`). A time limit that is longer by the result holds on a busy machine too, and is as strict
 * on an idle one. Other systems have no such figure, and get 0.
 */
export function watchRunDelay(pids: readonly number[]): RunDelayWatch {
  const first = new Map<string, number>();
  const last = new Map<string, number>();
  const all = [process.pid, ...pids];
  const sample = () => {
    for (const [thread, delay] of all.flatMap(delaysOf)) last.set(thread, delay);
  };
  for (const [thread, delay] of all.flatMap(delaysOf)) first.set(thread, delay);
  const timer = setInterval(sample, sampleMs).unref();
  return {
    stop() {
      clearInterval(timer);
      sample();
      const delays = [...last].map(([thread, delay]) => delay - (first.get(thread) ?? 0));
      return delays.reduce((sum, delay) => sum + delay, 0) / 1_000_000;
    },
  };
}

/** Returns the delay of each thread of a process so far, in nanoseconds; nothing for a process that has exited. */
function delaysOf(pid: number): [thread: string, delay: number][] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => {
      const [, delay] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
      return [thread, Number(delay)];
    });
  } catch {
    return [];
  }
}

/** The primary's side of shared loads (`shared-load.ts` explains the protocol): which question is granted, and which ones wait. */

import type { Invalidation } from './cache-store.ts';
import { type LoadedValue, type LoadQuestion, type LoadReceiver, maxLoadMs } from './shared-load.ts';

export interface PrimaryLoadsOptions {
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

export interface PrimaryLoads {
  /** Opens the session of one worker. */
  connect(worker: LoadReceiver): WorkerLoads;
  /** Revokes the loads of these values: questions that follow do not wait for them. */
  invalidate(invalidation: Invalidation): void;
  /** The number of granted and waiting questions. */
  readonly questions: number;
}

/** The session of one worker in the primary. */
export interface WorkerLoads {
  ask(question: LoadQuestion): void;
  /** Ignores a question that is over. */
  finish(id: number, value: LoadedValue | null): void;
  /** Ends all questions of the worker, after it exited. */
  close(): void;
}

interface Question extends LoadQuestion {
  readonly worker: LoadReceiver;
  /** The open questions of the same worker. */
  readonly siblings: Map<number, Question>;
}

interface Load {
  readonly name: string;
  readonly granted: Question;
  readonly startedAt: number;
  /** In the order of their arrival. */
  readonly waiting: Set<Question>;
  isAwaited: boolean;
}

/** The maximum number of open questions of one worker. Questions beyond it are granted without a record. */
const maxQuestions = 10_000;

export function createPrimaryLoads({
  now = () => performance.now(),
}: PrimaryLoadsOptions = {}): PrimaryLoads {
  const loads = new Map<string, Load>();
  const sessions = new Set<Map<number, Question>>();

  function connect(worker: LoadReceiver): WorkerLoads {
    const open = new Map<number, Question>();
    sessions.add(open);
    return {
      ask(question) {
        if (open.size >= maxQuestions) return worker.enter(question.id, 'granted');
        const asked = { ...question, worker, siblings: open };
        open.set(asked.id, asked);
        submit(asked);
      },
      finish(id, value) {
        const question = open.get(id);
        if (question !== undefined) end(question, value);
      },
      close() {
        sessions.delete(open);
        // The waiting questions first: a load that ends must not be granted to one of them.
        for (const question of open.values()) loads.get(nameOf(question))?.waiting.delete(question);
        for (const question of open.values()) end(question, null);
      },
    };
  }

  function submit(question: Question): void {
    const name = nameOf(question);
    const found = loads.get(name);
    // The load hangs. Its worker may still finish it for its own callers.
    if (found !== undefined && now() - found.startedAt > maxLoadMs) passOn(found);
    const load = loads.get(name);
    if (load === undefined) grant(name, question, new Set());
    else {
      load.waiting.add(question);
      question.worker.enter(question.id, 'waiting');
      announce(load, question);
    }
  }

  function grant(name: string, granted: Question, waiting: Set<Question>): void {
    const load = { name, granted, startedAt: now(), waiting, isAwaited: false };
    loads.set(name, load);
    granted.worker.enter(granted.id, 'granted');
    for (const question of waiting) announce(load, question);
  }

  /** Notifies the worker that loads, once, that its value is awaited. */
  function announce(load: Load, { acceptsValue }: Question): void {
    if (load.isAwaited || !acceptsValue) return;
    load.isAwaited = true;
    load.granted.worker.enter(load.granted.id, 'awaited');
  }

  function end(question: Question, value: LoadedValue | null): void {
    question.siblings.delete(question.id);
    const load = loads.get(nameOf(question));
    if (load?.granted !== question) {
      load?.waiting.delete(question);
      return;
    }
    if (value !== null) {
      for (const each of load.waiting) {
        if (!each.acceptsValue) continue;
        load.waiting.delete(each);
        each.siblings.delete(each.id);
        each.worker.receive(each.id, value);
      }
    }
    passOn(load);
  }

  /** Forgets the load, and grants the next one to the question that has waited longest. */
  function passOn({ name, waiting }: Load): void {
    loads.delete(name);
    const [next] = waiting;
    if (next === undefined) return;
    waiting.delete(next);
    grant(name, next, waiting);
  }

  return {
    connect,
    invalidate({ keys, tags }) {
      const revoked = [...loads.values()].filter(
        ({ granted }) => keys.includes(granted.key) || granted.tags.some((tag) => tags.includes(tag)),
      );
      for (const load of revoked) passOn(load);
    },
    get questions() {
      let sum = 0;
      for (const open of sessions) sum += open.size;
      return sum;
    },
  };
}

/** Questions wait for each other only if an invalidation concerns all of them, so the tags belong to the name. */
function nameOf({ key, tags }: LoadQuestion): string {
  return tags.length === 0 ? key : JSON.stringify([key, ...tags]);
}

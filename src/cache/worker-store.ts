/**
 * The store of one of several workers: values are in its own memory, and the primary decides which worker loads a value that
 * is missing (`shared-load.ts` describes the protocol).
 */

import type { CacheEntry, CacheStore, LoadLease, LoadStart } from './cache-store.ts';
import { maxFlightMs } from './cached-function.ts';
import { maxNames } from './invalidation-bus.ts';
import type { MemoryCacheStore } from './memory-store.ts';
import { type LoadChannel, type LoadedValue, maxSentLength } from './shared-load.ts';

export interface WorkerCacheStoreOptions {
  readonly memory: MemoryCacheStore;
  readonly channel: LoadChannel;
  /** The clock of the host, in milliseconds. */
  readonly now: () => number;
  /** How long to wait for the first answer of the primary, in milliseconds. */
  readonly deadlineMs: number;
  /** Called for each question without an answer in time. */
  readonly onUnanswered: () => void;
}

interface Question {
  readonly entry: CacheEntry;
  readonly replaces: boolean;
  /** Taken when the worker asked, so an invalidation since then has revoked it. */
  readonly lease: LoadLease;
  readonly resolve: (start: LoadStart) => void;
  timer: NodeJS.Timeout | undefined;
}

/** How long a worker loads without asking after the primary did not answer, in milliseconds. An answer ends it earlier. */
const retryMs = 1_000;

export function createWorkerCacheStore(options: WorkerCacheStoreOptions): CacheStore {
  const { memory, channel, now, deadlineMs, onUnanswered } = options;
  /** The questions that are not granted yet. */
  const questions = new Map<number, Question>();
  const granted = new Map<number, { isAwaited: boolean }>();
  let lastId = 0;
  let askNotBefore = Number.NEGATIVE_INFINITY;

  function ask(entry: CacheEntry, replaces: boolean, lease: LoadLease): Promise<LoadStart> {
    lastId += 1;
    const id = lastId;
    return new Promise((resolve) => {
      questions.set(id, { entry, replaces, lease, resolve, timer: undefined });
      startTimer(id, deadlineMs, () => {
        askNotBefore = now() + retryMs;
        onUnanswered();
      });
      channel.ask({ id, key: entry.key, tags: entry.tags, acceptsValue: !replaces });
    });
  }

  /** Gives the question up after this time, unless it is closed or gets another timer. */
  function startTimer(id: number, ms: number, onGivenUp = () => {}): void {
    const question = questions.get(id);
    if (question === undefined) return;
    clearTimeout(question.timer);
    const timer = setTimeout(() => {
      // If this process was blocked, the answer may be unread: it is read before the callback of setImmediate.
      setImmediate(() => {
        if (questions.get(id)?.timer !== timer) return;
        onGivenUp();
        giveUp(id);
      });
    }, ms).unref();
    question.timer = timer;
  }

  /** Withdraws the question and loads without the primary. */
  function giveUp(id: number): void {
    const question = close(id);
    if (question === undefined) return;
    channel.finish(id, null);
    question.resolve(memory.startLoad(question.entry, question));
  }

  function close(id: number): Question | undefined {
    const question = questions.get(id);
    questions.delete(id);
    clearTimeout(question?.timer);
    return question;
  }

  function begin(id: number): void {
    const question = close(id);
    if (question === undefined) return;
    // Taken now, because an invalidation before this moment does not concern the load that begins.
    const start = memory.startLoad(question.entry, question);
    if (start.kind === 'lease') question.resolve({ kind: 'lease', lease: createLease(id, start.lease) });
    else {
      channel.finish(id, null);
      question.resolve(start);
    }
  }

  function createLease(id: number, lease: LoadLease): LoadLease {
    const load = { isAwaited: false };
    granted.set(id, load);
    return {
      store(payload) {
        const isStored = lease.store(payload);
        const isSent = load.isAwaited && payload.text.length <= maxSentLength;
        const freshUntil = now() + payload.freshMs;
        const value = { text: payload.text, freshUntil, staleUntil: freshUntil + payload.staleMs };
        finish(id, isSent ? value : null);
        return isStored;
      },
      release() {
        finish(id, null);
        return lease.release();
      },
    };
  }

  function finish(id: number, value: LoadedValue | null): void {
    granted.delete(id);
    channel.finish(id, value);
  }

  channel.listen({
    enter(id, state) {
      askNotBefore = Number.NEGATIVE_INFINITY;
      if (state === 'granted') begin(id);
      else if (state === 'waiting') startTimer(id, maxFlightMs);
      else {
        const load = granted.get(id);
        if (load !== undefined) load.isAwaited = true;
      }
    },
    receive(id, { text, freshUntil, staleUntil }) {
      const question = close(id);
      question?.resolve({
        kind: 'received',
        text,
        keep(value) {
          const freshMs = Math.max(0, freshUntil - now());
          void question.lease.store({ text, value, freshMs, staleMs: staleUntil - freshUntil });
        },
      });
    },
  });

  return {
    isShared: false,
    read: memory.read,
    startLoad(entry, startOptions) {
      const start = memory.startLoad(entry, startOptions);
      if (start.kind !== 'lease' || now() < askNotBefore || entry.tags.length > maxNames) return start;
      return ask(entry, startOptions.replaces, start.lease);
    },
    invalidate: memory.invalidate,
  };
}

/**
 * A fair semaphore: it bounds how much work runs at a time, and decides which waiting work runs next. Each piece of work
 * belongs to a lane (its kind) and to a source (the client that causes it):
 *
 *     lane a   source 1: . .     \
 *              source 2: .        >  stride scheduling between lanes, round robin between the sources of a lane  ->  running
 *     lane b   source 3: . . . . /
 *
 * - At most `concurrency` pieces run, and at most `maxRunning` of one lane, so that a lane can leave capacity to others.
 * - When several lanes wait, each is served in proportion to its weight (stride scheduling), so none starves.
 * - Within a lane, sources are served round robin: a new source waits for one piece of each other source, however many
 *   pieces those have waiting.
 * - At most `maxWaiting` pieces of a lane wait. When the lane is full, the newest piece of the source with the longest queue
 *   is rejected. That is the new piece itself if its source has the longest queue, so one source cannot fill a lane.
 */

export interface Lane {
  readonly maxRunning: number;
  readonly maxWaiting: number;
  /** The share of this lane while other lanes wait too. */
  readonly weight: number;
}

export interface Semaphore<Name extends string> {
  /** Runs the work when the semaphore admits it, and settles as the work does. Rejects with `createFullError()` if the lane is full. */
  run<T>(place: { readonly lane: Name; readonly source: string }, work: () => Promise<T>): Promise<T>;
}

export interface SemaphoreOptions<Name extends string> {
  readonly concurrency: number;
  readonly lanes: Readonly<Record<Name, Lane>>;
  /** Creates the error with which work is rejected when its lane is full. */
  createFullError(): Error;
}

interface Waiting {
  start(): void;
  reject(): void;
}

interface LaneState extends Lane {
  running: number;
  waiting: number;
  /** The position of the lane in the stride schedule: the waiting lane with the lowest pass is served next. */
  pass: number;
  /** In round-robin order: the first source is served next. */
  readonly bySource: Map<string, Waiting[]>;
}

export function createSemaphore<Name extends string>({
  concurrency,
  lanes,
  createFullError,
}: SemaphoreOptions<Name>): Semaphore<Name> {
  const states = new Map<string, LaneState>(
    Object.entries<Lane>(lanes).map(([name, lane]) => [
      name,
      { ...lane, running: 0, waiting: 0, pass: 0, bySource: new Map() },
    ]),
  );
  let running = 0;
  /** The pass of the lane served last. An idle lane continues from here, so it gets no credit for the time it was idle. */
  let lastPass = 0;

  return {
    async run({ lane: name, source }, work) {
      const lane = states.get(name);
      if (lane === undefined) throw new RangeError(`There is no lane ${name}.`);
      if (lane.waiting === 0) lane.pass = Math.max(lane.pass, lastPass);
      if (lane.waiting === 0 && canRun(lane)) {
        start(lane);
      } else {
        await new Promise<void>((resolve, reject) => {
          enqueue(lane, source, { start: resolve, reject: () => reject(createFullError()) });
        });
      }
      try {
        return await work();
      } finally {
        running -= 1;
        lane.running -= 1;
        startNext();
      }
    },
  };

  function canRun(lane: LaneState): boolean {
    return running < concurrency && lane.running < lane.maxRunning;
  }

  function start(lane: LaneState): void {
    running += 1;
    lane.running += 1;
    lastPass = lane.pass;
    lane.pass += 1 / lane.weight;
  }

  function enqueue(lane: LaneState, source: string, place: Waiting): void {
    const own = lane.bySource.get(source) ?? [];
    if (lane.waiting >= lane.maxWaiting) {
      const [largest, theirs] = findLargestSource(lane);
      if (largest === undefined || theirs.length <= own.length + 1) {
        place.reject();
        return;
      }
      theirs.pop()?.reject();
      lane.waiting -= 1;
    }
    own.push(place);
    lane.bySource.set(source, own);
    lane.waiting += 1;
  }

  function startNext(): void {
    for (;;) {
      let next: LaneState | undefined;
      for (const lane of states.values()) {
        if (lane.waiting > 0 && canRun(lane) && (next === undefined || lane.pass < next.pass)) next = lane;
      }
      const place = next && takeWaiting(next);
      if (next === undefined || place === undefined) return;
      start(next);
      place.start();
    }
  }
}

/** Returns the source with the longest queue. */
function findLargestSource({ bySource }: LaneState): [source: string | undefined, waiting: Waiting[]] {
  let largest: [string | undefined, Waiting[]] = [undefined, []];
  for (const entry of bySource) if (entry[1].length > largest[1].length) largest = entry;
  return largest;
}

/** Takes the oldest piece of the first source, and moves that source to the end of the round. */
function takeWaiting(lane: LaneState): Waiting | undefined {
  for (const [source, pieces] of lane.bySource) {
    lane.bySource.delete(source);
    const place = pieces.shift();
    if (pieces.length > 0) lane.bySource.set(source, pieces);
    if (place === undefined) continue;
    lane.waiting -= 1;
    return place;
  }
  return undefined;
}

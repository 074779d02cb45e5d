/**
 * Work that waits for its turn, shared fairly. Every piece of work is in a lane (what kind it is) and has a source (who
 * causes it):
 *
 *     lane a   source 1: . .     \
 *              source 2: .        >  stride scheduling over lanes, round robin over the sources of a lane  ->  running
 *     lane b   source 3: . . . . /
 *
 * - At most `concurrency` pieces run, and at most `maxRunning` of a lane, so a lane can leave room that only others use.
 * - When several lanes wait, each gets turns in proportion to its weight (stride scheduling), so none starves.
 * - In a lane the sources take turns: work of a new source waits for one piece of each other source, however many pieces
 *   those have waiting.
 * - At most `maxWaiting` pieces of a lane wait. When there is no room, the newest piece of the source with the most waiting
 *   is refused, which is the new one if its own source has as many as any: a source cannot fill a lane for others.
 */

export interface Lane {
  readonly maxRunning: number;
  readonly maxWaiting: number;
  /** The share of turns while other lanes wait too. */
  readonly weight: number;
}

export interface FairTurns<Name extends string> {
  /** Does the work when it is its turn, and settles as it does. Rejects with the error of `refuse` if there is no room. */
  run<T>(place: { readonly lane: Name; readonly source: string }, work: () => Promise<T>): Promise<T>;
}

export interface FairTurnsOptions<Name extends string> {
  readonly concurrency: number;
  readonly lanes: Readonly<Record<Name, Lane>>;
  /** Makes the error of work for which there is no room. */
  refuse(): Error;
}

interface Waiting {
  start(): void;
  refuse(): void;
}

interface LaneState extends Lane {
  running: number;
  waiting: number;
  /** Where the lane stands in the schedule: the lane that stands lowest has the next turn. */
  pass: number;
  /** In the order in which the sources take turns. */
  readonly bySource: Map<string, Waiting[]>;
}

export function createFairTurns<Name extends string>({
  concurrency,
  lanes,
  refuse,
}: FairTurnsOptions<Name>): FairTurns<Name> {
  const states = new Map<string, LaneState>(
    Object.entries<Lane>(lanes).map(([name, lane]) => [
      name,
      { ...lane, running: 0, waiting: 0, pass: 0, bySource: new Map() },
    ]),
  );
  let running = 0;
  /** The pass of the lane that had the last turn: a lane that was idle does not catch up on turns it did not need. */
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
          enqueue(lane, source, { start: resolve, refuse: () => reject(refuse()) });
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
      const [largest, theirs] = largestSource(lane);
      if (largest === undefined || theirs.length <= own.length + 1) {
        place.refuse();
        return;
      }
      theirs.pop()?.refuse();
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

/** The source with the most waiting. */
function largestSource({ bySource }: LaneState): [source: string | undefined, waiting: Waiting[]] {
  let largest: [string | undefined, Waiting[]] = [undefined, []];
  for (const entry of bySource) if (entry[1].length > largest[1].length) largest = entry;
  return largest;
}

/** The oldest piece of the source whose turn it is, which then goes to the end of the line. */
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

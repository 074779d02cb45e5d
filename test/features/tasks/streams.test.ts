import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Principal } from '../../../src/auth/principal.ts';
import { AppError } from '../../../src/errors.ts';
import { createTaskStreams, type TaskStreamsOptions } from '../../../src/features/tasks/streams.ts';
import type { Watcher } from '../../../src/features/tasks/watch.ts';
import type { EventStream } from '../../../src/http/event-stream.ts';
import type { JobState, JobStatus } from '../../../src/jobs/job.ts';
import { parseEvents } from '../../helpers/event-source.ts';
import { eventually } from '../../helpers/eventually.ts';
import { jobStatus } from '../../helpers/job-status.ts';

const ada: Principal = {
  kind: 'session',
  sessionId: 's',
  userId: 7,
  username: 'ada',
  role: 'user',
};
const viewer = { caller: ada, identify: () => ada };

/** Streams of one job, which the test shows as it likes. */
function openStreams(options: Partial<TaskStreamsOptions> = {}) {
  const watchers = new Set<Watcher>();
  const streams = createTaskStreams({
    watch(_id, watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    ...options,
  });
  return {
    ...streams,
    watchers,
    poll(job: JobStatus | undefined) {
      for (const watcher of watchers) watcher(job);
    },
  };
}

/** A client that reads all there is. */
function read(stream: EventStream<JobStatus>) {
  let text = '';
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => parseEvents(text);
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a stream of a task', () => {
  it('a stream starts with the current state and continues with newer states until the final one', async () => {
    const { open, poll, watchers } = openStreams();
    const stream = open(jobStatus({ revision: 1 }), viewer, undefined);
    assert.ok(stream !== undefined);
    const events = read(stream);
    const shows: Partial<JobStatus>[] = [
      { revision: 2, state: 'running', attempt: 1 },
      { revision: 3, state: 'running', attempt: 1, progress: 0.5 },
      { revision: 3, state: 'running', attempt: 1, progress: 0.5 },
      { revision: 4, state: 'running', attempt: 1, progress: 0.5, cancelRequested: true },
      { revision: 5, state: 'cancelled', attempt: 1, progress: 0.5 },
    ];
    await turn();
    for (const show of shows) {
      poll(jobStatus(show));
      await turn();
    }
    await eventually('the stream has ended', () => stream.closed && watchers.size === 0);
    assert.deepEqual(
      events().map(({ id, event, data }) => `${id} ${event} ${JSON.parse(data).state}`),
      ['1 state available', '2 state running', '3 progress running', '4 state running', '5 state cancelled'],
    );
  });

  it('a stream is closed when its task is deleted', async () => {
    const { open, poll } = openStreams();
    const stream = open(jobStatus({}), viewer, undefined);
    stream?.resume();
    poll(undefined);
    await eventually('the stream has ended', () => stream?.closed === true);
  });

  it('a client that has the final state gets no stream', async () => {
    const { open } = openStreams();
    const job = jobStatus({ state: 'completed', revision: 5 });
    assert.equal(open(job, viewer, '5'), undefined);
    for (const last of [undefined, '', '4', '0', 'x', '6', '5.0', '9'.repeat(40)]) {
      const stream = open(job, viewer, last);
      const text = (await stream?.toArray())?.join('') ?? '';
      assert.deepEqual(
        parseEvents(text).map(({ id }) => id),
        ['5'],
        `${last}`,
      );
    }
  });

  it('over all connections of a client, ids increase and the last event is the final state', async () => {
    const states: JobState[] = ['scheduled', 'available', 'running'];
    const step = fc.record({
      grows: fc.integer({ min: 0, max: 3 }),
      state: fc.constantFrom(...states),
      breaks: fc.boolean(),
      reads: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 12 }),
        fc.integer({ min: 1, max: 9 }),
        async (steps, first) => {
          const { open, poll, watchers } = openStreams();
          const seen: { id: number; state: string }[] = [];
          let job = jobStatus({ revision: first });
          let events = () => parseEvents('');
          let stream: EventStream<JobStatus> | undefined;
          const connect = () => {
            seen.push(...events().map(({ id, data }) => ({ id: Number(id), state: JSON.parse(data).state })));
            stream = open(job, viewer, seen.at(-1)?.id.toString());
            events = stream === undefined ? () => [] : read(stream);
            return stream !== undefined;
          };
          connect();
          for (const { grows, state, breaks, reads } of steps) {
            if (grows > 0) job = jobStatus({ revision: job.revision + grows, state });
            poll(job);
            if (reads) await turn();
            if (!breaks) continue;
            stream?.destroy();
            await turn();
            connect();
          }
          job = jobStatus({ revision: job.revision + 1, state: 'completed' });
          poll(job);
          // An EventSource reconnects until it gets 204.
          do {
            while (stream?.closed === false) await turn();
          } while (connect());
          const ids = seen.map(({ id }) => id);
          assert.ok(
            ids.every((id, index) => index === 0 || id > (ids[index - 1] ?? 0)),
            ids.join(),
          );
          assert.deepEqual(seen.at(-1), { id: job.revision, state: 'completed' });
          assert.equal(seen.filter(({ state }) => state === 'completed').length, 1);
          assert.equal(watchers.size, 0);
        },
      ),
    );
  });
});

describe('access to a stream', () => {
  const refused = () => {
    throw new AppError('unauthenticated', 'The session is over.');
  };
  const cases: [what: string, identify: () => Principal | Promise<Principal>][] = [
    ['the session has ended', refused],
    ['the session has ended, according to the database', async () => refused()],
    ['the caller may no longer see the task', () => ({ ...ada, userId: 8 })],
  ];
  for (const [what, identify] of cases) {
    it(`a stream is closed when ${what}`, async () => {
      const { open, poll, watchers } = openStreams({ recheckMs: 0 });
      const stream = open(jobStatus({}), { caller: ada, identify }, undefined);
      stream?.resume();
      poll(jobStatus({}));
      await eventually('the stream has ended', () => stream?.closed === true && watchers.size === 0);
    });
  }

  it('a stream stays open while the database does not answer', async () => {
    const { open, poll } = openStreams({ recheckMs: 0 });
    let asked = 0;
    const identify = async (): Promise<Principal> => {
      asked += 1;
      throw new AppError('database_unavailable', 'The database is away.');
    };
    const stream = open(jobStatus({}), { caller: ada, identify }, undefined);
    assert.ok(stream !== undefined);
    const events = read(stream);
    for (let revision = 2; revision < 5; revision += 1) {
      poll(jobStatus({ revision, state: 'running' }));
      await turn();
    }
    assert.ok(asked >= 3);
    assert.equal(events().at(-1)?.id, '4');
    stream.destroy();
  });
});

describe('the number of streams', () => {
  const codeOf = (work: () => unknown) => {
    try {
      work();
      return undefined;
    } catch (error) {
      return error instanceof AppError ? error.code : error;
    }
  };

  it('streams are limited per user and in total, and an ended stream frees its place', async () => {
    const { open } = openStreams({ maxPerUser: 2, maxOpen: 3 });
    const as = (userId: number) => {
      const caller = { ...ada, userId };
      return open(jobStatus({ userId }), { caller, identify: () => caller }, undefined);
    };
    const [first] = [as(1), as(1)];
    assert.equal(
      codeOf(() => as(1)),
      'rate_limited',
    );
    as(2);
    assert.equal(
      codeOf(() => as(3)),
      'overloaded',
    );
    assert.ok(first !== undefined);
    first.destroy();
    await once(first, 'close');
    assert.equal(
      codeOf(() => as(1)),
      undefined,
    );
  });
});

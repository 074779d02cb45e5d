/** The faults of the proof: how each begins and ends, and which answers it may cause. */

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import type { AlertRuleName } from '../../../src/alerts/rules.ts';
import type { CircuitKind } from '../../../src/observability/circuit-set.ts';
import type { TestRedis } from '../../helpers/redis.ts';
import type { ProofDns } from './dns.ts';
import type { KindName } from './load.ts';
import type { ProofMailServer } from './mail-server.ts';
import type { ProofPostgres } from './postgres.ts';
import type { ProofService } from './service.ts';

export interface Fault {
  readonly part: string;
  readonly name: string;
  /** The kinds of requests that need the part, with the statuses that they may get besides success. */
  readonly needs: Partial<Record<KindName, readonly number[]>>;
  /** Whether the requests that need the part must fail, so that the proof proves something. */
  readonly mustFail: boolean;
  /** The circuits that may open. */
  readonly circuits: readonly CircuitKind[];
  /** The rules whose alert must be raised, and resolved afterwards. */
  readonly alerts: readonly AlertRuleName[];
  /** How long it lasts, in milliseconds, if that is longer than the others. */
  readonly lastsMs?: number;
  /** How long it may take until the failure is found, in milliseconds. From then on, answers come at once. */
  readonly foundMs: number;
  /** The longest answer, of a request that was in progress when the fault began, in milliseconds. */
  readonly maxMs: number;
  /** The time until all answers are successes again, in milliseconds. */
  readonly recoveryMs: number;
  readonly fail: () => unknown;
  readonly recover: () => unknown;
}

export interface FaultParts {
  readonly postgres: ProofPostgres;
  readonly redis: TestRedis;
  readonly service: ProofService;
  readonly mailServer: ProofMailServer;
  /** Undefined without the right to run a name server. */
  readonly dns: ProofDns | undefined;
  /** The folder of files on a small file system; undefined without the right to mount one. */
  readonly smallDisk: string | undefined;
}

export function makeFaults({ postgres, redis, service, mailServer, dns, smallDisk }: FaultParts): Fault[] {
  const database: Omit<Fault, 'name' | 'fail' | 'recover'> = {
    part: 'PostgreSQL',
    needs: { read: [503], write: [503] },
    ...{ circuits: ['database'], alerts: ['database_away', 'server_errors'] },
    ...{ mustFail: true, foundMs: 1_500, maxMs: 5_000, recoveryMs: 6_000 },
  };
  const disconnect = `select pg_terminate_backend(pid) from pg_stat_activity where datname = 'strata'`;
  let release: () => unknown = () => {};
  const faults: Fault[] = [
    { ...database, name: 'stopped', fail: postgres.stop, recover: postgres.start },
    {
      ...database,
      name: 'frozen (SIGSTOP)',
      ...{ foundMs: 3_500, maxMs: 10_000 },
      fail: postgres.freeze,
      recover: postgres.thaw,
    },
    {
      ...database,
      name: 'refuses connections',
      fail: () => postgres.run('alter database strata with allow_connections false', disconnect),
      recover: () => postgres.run('alter database strata with allow_connections true'),
    },
    {
      ...database,
      name: 'no connections left',
      // The open connections of the program continue to work.
      ...{ mustFail: false, alerts: [] },
      async fail() {
        release = await postgres.useUpConnections();
      },
      recover: () => release(),
    },
    {
      ...database,
      name: 'read-only',
      ...{ needs: { read: [], write: [503] }, alerts: ['server_errors'] },
      fail: () =>
        postgres.run('alter system set default_transaction_read_only = on', 'select pg_reload_conf()'),
      recover: () =>
        postgres.run(
          'set default_transaction_read_only = off',
          'alter system reset default_transaction_read_only',
          'select pg_reload_conf()',
        ),
    },
  ];

  // Without Redis, nodes count alone and values are loaded: no request fails.
  const cached: typeof database = {
    part: 'Redis',
    ...{ needs: { cached: [], plain: [] }, circuits: ['rate_limit', 'cache'], alerts: ['circuit_open'] },
    ...{ mustFail: false, foundMs: 500, maxMs: 1_500, recoveryMs: 8_000 },
  };
  let admin: ChildProcessByStdio<Writable, null, null> | undefined;
  faults.push(
    { ...cached, name: 'stopped', fail: redis.kill, recover: redis.restart },
    { ...cached, name: 'frozen (SIGSTOP)', fail: redis.freeze, recover: redis.thaw },
    {
      ...cached,
      name: 'refuses connections',
      // The connection that sends the commands stays open, and is the only one.
      fail() {
        admin = spawn('redis-cli', ['-p', `${redis.port}`], { stdio: ['pipe', 'ignore', 'inherit'] });
        admin.stdin.write('CONFIG SET maxclients 1\nCLIENT KILL TYPE normal\nCLIENT KILL TYPE pubsub\n');
      },
      recover: () => admin?.stdin.end('CONFIG SET maxclients 10000\n'),
    },
    {
      ...cached,
      name: 'read-only (replica)',
      fail: () => redis.command('REPLICAOF', '127.0.0.1', '1'),
      recover: () => redis.command('REPLICAOF', 'NO', 'ONE'),
    },
  );

  const called: typeof database = {
    part: 'called service',
    ...{ needs: { service: [503, 504] }, circuits: ['outgoing'], alerts: ['circuit_open', 'server_errors'] },
    // A call has a second. The circuit opens when half of the calls of the last 10 s have failed, and its open time doubles.
    ...{ mustFail: true, lastsMs: 20_000, foundMs: 13_000, maxMs: 5_000, recoveryMs: 40_000 },
  };
  faults.push(
    {
      ...called,
      name: 'hangs',
      fail: () => service.set('hanging'),
      recover: () => service.set('answering'),
    },
    { ...called, name: 'refuses connections', fail: service.close, recover: service.open },
  );
  faults.push({
    part: 'mail server',
    name: 'refuses connections',
    // Mails wait.
    ...{ needs: { mail: [] }, circuits: ['mail'], alerts: ['circuit_open'] },
    // The time between two trials doubles from 5 s.
    ...{ mustFail: false, foundMs: 500, maxMs: 1_500, recoveryMs: 25_000 },
    fail: () => mailServer.setRejecting(true),
    recover: () => mailServer.setRejecting(false),
  });
  if (dns === undefined) console.log('skipped: DNS needs the right to bind a file and to use port 53.');
  else {
    const state = (name: Parameters<ProofDns['set']>[0]) => () => dns.set(name);
    faults.push(
      { ...called, part: 'DNS', name: 'fails', fail: state('failing'), recover: state('answering') },
      { ...called, part: 'DNS', name: 'silent', fail: state('silent'), recover: state('answering') },
    );
  }
  if (smallDisk === undefined) console.log('skipped: a full disk needs the right to mount a file system.');
  else {
    const filler = join(smallDisk, 'filler');
    faults.push({
      part: 'disk',
      name: 'full',
      ...{ needs: { file: [507] }, circuits: [], alerts: ['server_errors'] },
      ...{ mustFail: true, foundMs: 500, maxMs: 2_000, recoveryMs: 2_000 },
      fail: () => fill(filler, smallDisk),
      recover: () => rmSync(filler),
    });
  }
  return faults;
}

function fill(file: string, folder: string): void {
  const handle = openSync(file, 'w');
  const block = Buffer.alloc(4_096);
  try {
    while (statfsSync(folder).bavail > 0) writeSync(handle, block);
  } catch {
    // The disk is full.
  } finally {
    closeSync(handle);
  }
}

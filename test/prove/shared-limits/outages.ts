/** Ways in which a store fails, each with how it comes back. */

import { spawnSync } from 'node:child_process';
import type { TestRedis } from '../../helpers/redis.ts';
import { treeOf } from '../faults/postgres.ts';
import type { ProofDatabase } from '../jobs/database.ts';

export interface Outage {
  readonly name: string;
  /** Whether the store lost all permits. */
  readonly losesPermits: boolean;
  readonly fail: () => unknown;
  readonly recover: () => unknown;
}

export function redisOutages(redis: TestRedis): Outage[] {
  const set = (name: string, value: string) => redis.command('CONFIG', 'SET', name, value);
  return [
    { name: 'killed', losesPermits: true, fail: redis.kill, recover: redis.restart },
    { name: 'frozen (SIGSTOP)', losesPermits: false, fail: redis.freeze, recover: redis.thaw },
    ...blackHole(redis.port),
    {
      name: 'full (maxmemory)',
      losesPermits: false,
      fail: () => set('maxmemory', '1'),
      recover: () => set('maxmemory', '0'),
    },
    {
      name: 'read-only (replica)',
      losesPermits: false,
      fail: () => redis.command('REPLICAOF', '127.0.0.1', '1'),
      recover: () => redis.command('REPLICAOF', 'NO', 'ONE'),
    },
  ];
}

export function postgresOutages(database: ProofDatabase): Outage[] {
  const signal = (name: NodeJS.Signals) => () => {
    for (const pid of treeOf(database.pid())) process.kill(pid, name);
  };
  return [
    { name: 'crashed, restarted', losesPermits: true, fail: () => database.crash(), recover: () => {} },
    {
      name: 'frozen (SIGSTOP)',
      losesPermits: false,
      fail: signal('SIGSTOP'),
      recover: signal('SIGCONT'),
    },
    ...blackHole(Number(new URL(database.url).port)),
  ];
}

/** Drops all packets to the port, so that no connection is reset. Empty without the right to do that. */
function blackHole(port: number): Outage[] {
  const rule = ['INPUT', '-i', 'lo', '-p', 'tcp', '--dport', String(port), '-j', 'DROP'];
  const iptables = (action: string) => spawnSync('iptables', [action, ...rule]).status === 0;
  if (!iptables('-I')) {
    console.log('skipped: black-holed needs the right to change iptables.');
    return [];
  }
  iptables('-D');
  process.on('exit', () => iptables('-D'));
  return [
    {
      name: 'black-holed (DROP)',
      losesPermits: false,
      fail: () => iptables('-I'),
      recover: () => iptables('-D'),
    },
  ];
}

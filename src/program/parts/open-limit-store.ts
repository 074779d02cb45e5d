import type { HealthCheck } from '../../features/health/health.ts';
import type { LimitStore } from '../../limits/limit-store.ts';
import { createPostgresBackend } from '../../limits/shared/postgres-backend.ts';
import { createRedisBackend } from '../../limits/shared/redis-backend.ts';
import type { SharedBackend } from '../../limits/shared/shared-backend.ts';
import { createSharedLimitStore } from '../../limits/shared/shared-store.ts';
import { createSharedStoreMetrics } from '../../limits/shared/shared-store-metrics.ts';
import type { CircuitMetrics } from '../../observability/circuit-set.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Metrics } from '../../observability/metrics/metrics.ts';
import { probedCircuit } from '../../observability/probed-circuit.ts';
import type { Redis } from '../../redis/redis.ts';
import type { Settings } from '../../settings/load.ts';
import type { Lifecycle } from '../lifecycle.ts';
import { connectFromSettings } from './connect-from-settings.ts';

export interface LimitStoreParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly circuitMetrics: CircuitMetrics;
  readonly lifecycle: Lifecycle;
  readonly databaseUrl: string | null;
  readonly redis: Redis | undefined;
  /** Counts for this node alone: the store in memory, or that of the primary. */
  readonly local: LimitStore;
}

export interface OpenedLimitStore {
  readonly store: LimitStore;
  readonly check: HealthCheck;
}

const closeMs = 1_000;
/** Two, so that the statement of one turn of the event loop does not wait for that of the turn before. */
const poolSize = 2;
/** Statements that wait for a connection. Their requests wait no longer than the deadline of the store. */
const maxWaiting = 100;

/** When the store is asked again after a failure, in milliseconds. */
const probing = { openMs: 100, maxOpenMs: 4_000 };

/** Opens the store that the settings name. Without a shared one, this is the local store. */
export async function openLimitStore(parts: LimitStoreParts): Promise<OpenedLimitStore> {
  const { settings, lifecycle, local } = parts;
  const backend = settings.security.rateLimitEnabled ? await openBackend(parts) : undefined;
  if (backend === undefined) {
    return { store: local, check: { name: 'rate_limit_store', required: false, run: undefined } };
  }
  const store = createObservedStore(parts, backend);
  await lifecycle.open(
    'rate limit store',
    async () => store,
    async () => store.stop(),
    closeMs,
  );
  return {
    store,
    check: {
      name: 'rate_limit_store',
      required: false,
      run: async () =>
        !store.isLocal()
          ? undefined
          : { degraded: `${backend.name} does not answer, so this node counts the rate limit alone.` },
    },
  };
}

async function openBackend({
  settings,
  log,
  lifecycle,
  databaseUrl,
  redis,
}: LimitStoreParts): Promise<SharedBackend | undefined> {
  const { rateLimitStore, redisKeyPrefix, rateLimitStoreTimeoutMs } = settings.security;
  if (rateLimitStore === 'redis' && redis !== undefined) {
    return createRedisBackend({ redis, prefix: redisKeyPrefix });
  }
  if (rateLimitStore !== 'postgres' || databaseUrl === null) return undefined;
  const database = await lifecycle.open(
    'rate limit database',
    async () =>
      connectFromSettings(settings, {
        url: databaseUrl,
        part: 'limits',
        poolSize,
        maxWaiting,
        maxWaitMs: rateLimitStoreTimeoutMs,
        log: log.named('limits'),
      }),
    (opened) => opened.close(closeMs / 1000),
    closeMs,
  );
  return createPostgresBackend({ database });
}

function createObservedStore(
  { settings, log, metrics, circuitMetrics, local }: LimitStoreParts,
  backend: SharedBackend,
) {
  const { rateLimitOnFailure, rateLimitStoreTimeoutMs } = settings.security;
  const { up, fallbacks, duration } = createSharedStoreMetrics(metrics);
  up.of().set(1);
  return createSharedLimitStore({
    backend,
    fallback: local,
    onFailure: rateLimitOnFailure,
    deadlineMs: rateLimitStoreTimeoutMs,
    onFallback: () => fallbacks.of().add(),
    onCall: (seconds) => duration.of().observe(seconds),
    createCircuit: probedCircuit({
      ...{ kind: 'rate_limit', name: backend.name, ...probing, log, metrics: circuitMetrics },
      advice:
        'Until the store answers again, SECURITY_RATE_LIMIT_ON_FAILURE decides: each node counts alone, or rejects requests.',
      onChange: (isOpen) => up.of().set(isOpen ? 0 : 1),
    }),
  });
}

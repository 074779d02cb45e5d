import { createBanStoreGauge } from '../../../bans/ban-metrics.ts';
import type { BanRegistry } from '../../../bans/ban-registry.ts';
import { startBanExchange } from '../../../bans/shared/ban-exchange.ts';
import type { BanStore } from '../../../bans/shared/ban-store.ts';
import { createPostgresBanStore } from '../../../bans/shared/postgres-ban-store.ts';
import { createRedisBanStore } from '../../../bans/shared/redis-ban-store.ts';
import { withTimeout } from '../../../concurrency/with-timeout.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { Metrics } from '../../../observability/metrics/metrics.ts';
import type { Settings } from '../../../settings/load.ts';
import type { Lifecycle } from '../../lifecycle.ts';
import { connectFromSettings } from '../connect-from-settings.ts';
import { openSharedRedis } from '../open-redis.ts';

export interface BanStoreParts {
  readonly settings: Settings;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
  readonly databaseUrl: string | null;
}

const closeMs = 1_000;
/** How long the start waits for the bans of the store. After that it continues, and they arrive later. */
const firstRoundMs = 1_000;
/** Rounds run one after the other; a late one may overlap with the next. */
const poolSize = 1;
const maxWaiting = 5;
const maxWaitMs = 5_000;

/** Exchanges bans over the store of the rate limit. Does nothing if that is the memory of each node. */
export async function openBanExchange(registry: BanRegistry, parts: BanStoreParts): Promise<void> {
  const store = await openStore(parts);
  if (store === undefined) return;
  const up = createBanStoreGauge(parts.metrics).of();
  const exchange = await parts.lifecycle.open(
    'ban exchange',
    async () =>
      startBanExchange({
        ...{ store, registry, log: parts.log.named('bans') },
        onState: (isUp) => up.set(isUp ? 1 : 0),
      }),
    (started) => started.stop(),
    closeMs,
  );
  await withTimeout(exchange.started, firstRoundMs, () => {});
}

async function openStore(parts: BanStoreParts): Promise<BanStore | undefined> {
  const { settings, log, lifecycle, databaseUrl } = parts;
  const { rateLimitStore, redisKeyPrefix: prefix } = settings.security;
  if (rateLimitStore === 'redis') {
    const redis = await openSharedRedis(settings, log, lifecycle);
    return redis && createRedisBanStore({ redis, prefix });
  }
  if (rateLimitStore !== 'postgres' || databaseUrl === null) return undefined;
  const database = await lifecycle.open(
    'ban database',
    async () =>
      connectFromSettings(settings, {
        ...{ url: databaseUrl, part: 'bans', poolSize, maxWaiting, maxWaitMs, log: log.named('bans') },
      }),
    (opened) => opened.close(closeMs / 1000),
    closeMs,
  );
  return createPostgresBanStore({ database });
}

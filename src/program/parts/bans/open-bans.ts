import type { BanChannel } from '../../../bans/ban-messages.ts';
import { type BanRegistry, type BanRules, createBanRegistry } from '../../../bans/ban-registry.ts';
import { createExemptClients } from '../../../bans/exempt-clients.ts';
import { createProcessBans, type ProcessBans } from '../../../bans/process-bans.ts';
import { createHostClock } from '../../../limits/host-clock.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { Metrics } from '../../../observability/metrics/metrics.ts';
import { neverBanned } from '../../../pipeline-options.ts';
import type { Settings } from '../../../settings/load.ts';
import { type BanStoreParts, openBanExchange } from './open-ban-exchange.ts';

const sweepMs = 1_000;
const closeMs = 1_000;

/** Creates the bans of a node: in the primary, or in a single process. Undefined if the settings do not enable them. */
export function createBans(settings: Settings, log: Logger, metrics: Metrics): BanRegistry | undefined {
  if (!settings.security.enableBanList) return undefined;
  return createBanRegistry({
    ...{ rules: banRules(settings), log: log.named('bans'), metrics, now: createHostClock() },
  });
}

/** Returns the rules of the settings, which a reload can change. */
export function banRules(settings: Settings): BanRules {
  const { security } = settings;
  return {
    policy: {
      violations: security.banRateLimitViolations,
      failures: security.banAuthFailures,
      windowMs: security.banWindowSeconds * 1000,
      firstMs: security.banSeconds * 1000,
      growth: security.banGrowthFactor,
      maxMs: security.banMaxSeconds * 1000,
      forgetMs: security.banForgetSeconds * 1000,
    },
    exempt: createExemptClients(neverBanned(settings)),
  };
}

/** Starts to forget the bans whose time is over, and exchanges bans with the other nodes if there is a shared store. */
export async function openBans(bans: BanRegistry | undefined, parts: BanStoreParts): Promise<void> {
  if (bans === undefined) return;
  const { lifecycle } = parts;
  await lifecycle.open(
    'bans',
    async () => setInterval(bans.sweep, sweepMs),
    async (timer) => clearInterval(timer),
    closeMs,
  );
  await openBanExchange(bans, parts);
}

/** Creates the bans of a process that answers requests, over a channel to the registry. */
export function openProcessBans(settings: Settings, channel: BanChannel): ProcessBans | undefined {
  if (!settings.security.enableBanList) return undefined;
  const { exempt } = banRules(settings);
  return createProcessBans({ channel, exempt, now: createHostClock() });
}

/** Creates the bans of a server without a supervisor, such as that of a test. */
export function openLocalBans(settings: Settings, log: Logger, metrics: Metrics): ProcessBans | undefined {
  const bans = createBans(settings, log, metrics);
  return bans && openProcessBans(settings, channelTo(bans));
}

/** Returns the channel to a registry in the same process. */
export function channelTo(bans: BanRegistry): BanChannel {
  return { report: bans.report, listen: (receiver) => void bans.connect(receiver) };
}

import { AppError } from '../errors.ts';
import type { FindCountry } from '../geoip/country-finder.ts';
import type { Middleware } from '../http/context.ts';
import { rejectRequest } from '../http/problem.ts';
import type { CounterSeries, Metrics } from '../observability/metrics/metrics.ts';
import type { RejectedClients } from '../observability/rejected-clients.ts';

export interface GeoBlockOptions {
  readonly find: FindCountry;
  /** The only countries that are allowed; empty: all. */
  readonly allowed: readonly string[];
  /** Countries that are blocked, even if they are allowed. */
  readonly blocked: readonly string[];
  /** Whether a public address without a known country is allowed. */
  readonly allowsUnknown: boolean;
  readonly rejected: RejectedClients;
  /** Counts requests by country and result. */
  readonly metrics: Metrics;
}

interface Verdict {
  readonly isAllowed: boolean;
  readonly series: CounterSeries;
}

/**
 * Rejects requests by the country of the client address, with 403 `country_blocked`. The block list wins over the allow list.
 * Private addresses are exempt, and so are probes, which platforms send from anywhere. The layer runs after `proxy-headers`,
 * which finds the client address, and before everything that costs work.
 */
export function geoBlock({
  find,
  allowed,
  blocked,
  allowsUnknown,
  rejected,
  metrics,
}: GeoBlockOptions): Middleware {
  const requests = metrics.counter({
    name: 'geoip_requests_total',
    help: 'Requests by the country of the client address (private: an address without a country; unknown: not in the database) and by result: allowed or blocked.',
    labels: ['country', 'result'],
  });
  const blockList = new Set(blocked);
  const allowList = new Set(allowed);
  /** By country; bounded, because countries are from a closed list. */
  const verdicts = new Map<string, Verdict>();

  function isAllowed(country: string): boolean {
    if (country === 'private') return true;
    if (country === 'unknown') return allowsUnknown;
    return !blockList.has(country) && (allowList.size === 0 || allowList.has(country));
  }

  function judge(country: string): Verdict {
    const allows = isAllowed(country);
    const verdict = { isAllowed: allows, series: requests.of(country, allows ? 'allowed' : 'blocked') };
    verdicts.set(country, verdict);
    return verdict;
  }

  return function geoBlock(ctx, next) {
    if (ctx.isProbe && ctx.messageError === undefined) return next(ctx);
    const country = find(ctx.clientAddress);
    ctx.country = country;
    const verdict = verdicts.get(country) ?? judge(country);
    verdict.series.add();
    if (verdict.isAllowed) return next(ctx);
    rejected.report(ctx, {
      code: 'country_blocked',
    });
    return rejectRequest(ctx, new AppError('country_blocked', explain(country), { layer: 'geo-block' }));
  };
}

function explain(country: string): string {
  return country === 'unknown'
    ? 'This server does not accept requests from addresses whose country is unknown.'
    : `This server does not accept requests from the country of your address (${country}).`;
}

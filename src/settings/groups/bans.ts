import { boolean, integer } from '../kinds/kind.ts';
import { addressRanges } from '../kinds/network.ts';
import { variable } from '../variable.ts';

const year = 31_536_000;

/** The ban list: clients that are refused for a time after too many offences. */
export const banSettings = {
  enableBanList: variable('SECURITY_ENABLE_BAN_LIST', boolean(), {
    default: 'false',
    about:
      'Refuse clients for a growing time that exceed the rate limits or fail to authenticate again and again. Private addresses and SECURITY_TRUSTED_PROXIES are never banned. Behind a proxy it needs SECURITY_TRUST_PROXY_HEADERS.',
  }),
  banRateLimitViolations: variable('SECURITY_BAN_RATE_LIMIT_VIOLATIONS', integer(0, 1_000_000, 'requests'), {
    default: '300',
    about:
      'Requests over a rate limit within SECURITY_BAN_WINDOW_SECONDS that ban a client. Those of signed-in users do not count. 0: they never do.',
  }),
  banAuthFailures: variable('SECURITY_BAN_AUTH_FAILURES', integer(0, 1_000, 'credentials'), {
    default: '30',
    about:
      'Different wrong credentials (passwords, API keys, tokens of no session) within SECURITY_BAN_WINDOW_SECONDS that ban a client. Repetitions of the same one, and expired tokens, do not count. 0: they never do.',
  }),
  banWindowSeconds: variable('SECURITY_BAN_WINDOW_SECONDS', integer(1, 86_400, 'seconds'), {
    default: '600',
    about: 'The time in which offences of a client are added up.',
  }),
  banSeconds: variable('SECURITY_BAN_SECONDS', integer(1, year, 'seconds'), {
    default: '600',
    about: 'The duration of the first ban of a client.',
  }),
  banGrowthFactor: variable('SECURITY_BAN_GROWTH_FACTOR', integer(1, 100), {
    default: '2',
    about: 'The factor by which each further ban of a client is longer.',
  }),
  banMaxSeconds: variable('SECURITY_BAN_MAX_SECONDS', integer(1, year, 'seconds'), {
    default: '86400',
    about: 'The maximum duration of a ban.',
  }),
  banForgetSeconds: variable('SECURITY_BAN_FORGET_SECONDS', integer(1, year, 'seconds'), {
    default: '604800',
    about: 'The time after the end of a ban until the next one has the first duration again.',
  }),
  banAllowedAddresses: variable('SECURITY_BAN_ALLOWED_ADDRESSES', addressRanges(), {
    default: '[]',
    about: 'Addresses that are never banned, such as those of your offices, monitors and partners.',
  }),
};

import { resolve } from 'node:path';
import { countries } from '../kinds/country.ts';
import { boolean, choice, kind, reject } from '../kinds/kind.ts';
import { variable } from '../variable.ts';

/** The rejection of requests by the country of their address. */
export const geoipSettings = {
  enableGeoBlocking: variable('SECURITY_ENABLE_GEO_BLOCKING', boolean(), {
    default: 'false',
    about:
      'Look up the country of each client address (needs the package maxmind), for the lists below, the log and the metrics. Private and loopback addresses are exempt.',
  }),
  geoipDatabasePath: variable('SECURITY_GEOIP_DATABASE_PATH', kind('the path of a file', readPath), {
    default: '',
    about:
      'The database of countries in the format MaxMind DB (.mmdb), relative to the working directory. A file that replaces it is used within 3 seconds, without a restart.',
  }),
  allowedCountries: variable('SECURITY_ALLOWED_COUNTRIES', countries(), {
    default: '[]',
    about: 'The only countries whose requests are accepted; all of them if the list is empty.',
  }),
  blockedCountries: variable('SECURITY_BLOCKED_COUNTRIES', countries(), {
    default: '[]',
    about: 'Countries whose requests are rejected, also if SECURITY_ALLOWED_COUNTRIES contains them.',
  }),
  unknownCountries: variable('SECURITY_UNKNOWN_COUNTRIES', choice(['auto', 'allow', 'block']), {
    default: 'auto',
    about:
      'Whether to allow public addresses that the database does not contain. `auto` blocks them if SECURITY_ALLOWED_COUNTRIES is set.',
  }),
};

function readPath(path: string): string {
  if (path === '') return path;
  return path.includes('\0') ? reject() : resolve(path);
}

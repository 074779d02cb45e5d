import { isIPv4 } from 'node:net';
import { kind, readInteger, reject } from '../kinds/kind.ts';
import { bindAddress, hostPatterns } from '../kinds/network.ts';
import { variable } from '../variable.ts';

/** The port that `auto` means. */
const defaultPort = 9181;

/** The second port, for the platform instead of for users: probes, metrics, the list of workers. */
export const management = {
  managementPort: variable(
    'APP_MANAGEMENT_PORT',
    kind('auto, off, or an integer from 0 to 65535', readManagementPort),
    {
      default: 'auto',
      about: `Port for probes, metrics and the list of workers. 0 chooses a free port; off opens none. auto means ${defaultPort}; in local, a free port if ${defaultPort} is taken; in test, off.`,
    },
  ),
  managementHost: variable('APP_MANAGEMENT_HOST', bindAddress(), {
    default: '127.0.0.1',
    about:
      'Listen address of the management port. 127.0.0.1 accepts connections from this machine only; probes and scrapers on other machines need 0.0.0.0 (or ::).',
  }),
  managementAllowedHosts: variable('APP_MANAGEMENT_ALLOWED_HOSTS', hostPatterns(), {
    default: '[]',
    about:
      'Additional Host names for which the management port answers more than probes. Always allowed are localhost, the listen address, and with 0.0.0.0 (or ::) every IP address. Needed for scrapers whose target is a name.',
  }),
  managementToken: variable(
    'APP_MANAGEMENT_TOKEN',
    kind('16 to 200 letters, digits, or - . _ ~ + / =', readToken),
    {
      default: '',
      secret: 'value',
      about:
        'Token for metrics and the list of workers, sent as `Authorization: Bearer`; probes need none. If other machines reach the port, staging and production do not start without it, and it must be hard to guess.',
    },
  ),
};

type ManagementPort = number | 'auto' | 'off';

function readManagementPort(text: string): ManagementPort {
  const word = text.toLowerCase();
  return word === 'auto' || word === 'off' ? word : readInteger(0, 65_535)(text);
}

/** A token as it can follow `Bearer` in an Authorization header (RFC 6750, section 2.1), or the empty default. */
function readToken(token: string): string {
  const fits = /^[\w.~+/-]+=*$/.test(token) && token.length >= 16 && token.length <= 200;
  return fits || token === '' ? token : reject();
}

/** Returns the port to open, or null if there is none. With `mayMove`, a free port is used if it is taken. */
export function findManagementPort(
  port: ManagementPort,
  environment: string,
): { readonly port: number; readonly mayMove: boolean } | null {
  if (port === 'off' || (port === 'auto' && environment === 'test')) return null;
  return port === 'auto' ? { port: defaultPort, mayMove: environment === 'local' } : { port, mayMove: false };
}

/** Whether only this machine can connect to the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

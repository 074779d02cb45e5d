import { isIPv4 } from 'node:net';
import { kind, readInteger, reject } from '../kinds/kind.ts';
import { bindAddress, hostPatterns } from '../kinds/network.ts';
import { variable } from '../variable.ts';

/** What `auto` stands for, where nothing else holds it. */
const defaultPort = 9181;

/** The second port, for the platform and not for users: probes, metrics, the list of workers. */
export const management = {
  managementPort: variable(
    'APP_MANAGEMENT_PORT',
    kind('auto, off, or an integer from 0 to 65535', readManagementPort),
    {
      default: 'auto',
      phase: 4,
      about: `Port of the probes, the metrics and the list of workers. 0 takes a free one, off opens none. auto is ${defaultPort}, in local a free one if that is taken, and in test off.`,
    },
  ),
  managementHost: variable('APP_MANAGEMENT_HOST', bindAddress(), {
    default: '127.0.0.1',
    phase: 4,
    about:
      'Address for the management port. 127.0.0.1 is reached from this machine only; probes and scrapers elsewhere need 0.0.0.0 (or ::).',
  }),
  managementAllowedHosts: variable('APP_MANAGEMENT_ALLOWED_HOSTS', hostPatterns(), {
    default: '[]',
    phase: 4,
    about:
      'Host names under which the management port answers more than probes, beside localhost, the address it listens on, and with 0.0.0.0 (or ::) every IP address. Needed for scrapers whose target is a name.',
  }),
  managementToken: variable(
    'APP_MANAGEMENT_TOKEN',
    kind('16 to 200 letters, digits, or - . _ ~ + / =', readToken),
    {
      default: '',
      phase: 4,
      secret: 'value',
      about:
        'What metrics and the list of workers ask for, as `Authorization: Bearer`; probes ask for nothing. Staging and production do not start without where the port is reached from other machines, and there it must be hard to guess.',
    },
  ),
};

type ManagementPort = number | 'auto' | 'off';

function readManagementPort(text: string): ManagementPort {
  const word = text.toLowerCase();
  return word === 'auto' || word === 'off' ? word : readInteger(0, 65_535)(text);
}

/** What can stand in an Authorization header after `Bearer` (RFC 6750, section 2.1). Nothing is the default. */
function readToken(token: string): string {
  const fits = /^[\w.~+/-]+=*$/.test(token) && token.length >= 16 && token.length <= 200;
  return fits || token === '' ? token : reject();
}

/** Where the port is opened; null for nowhere. One that `mayMove` gives way when it is taken. */
export function findManagementPort(
  port: ManagementPort,
  environment: string,
): { readonly port: number; readonly mayMove: boolean } | null {
  if (port === 'off' || (port === 'auto' && environment === 'test')) return null;
  return port === 'auto' ? { port: defaultPort, mayMove: environment === 'local' } : { port, mayMove: false };
}

/** Whether only this machine reaches what listens there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

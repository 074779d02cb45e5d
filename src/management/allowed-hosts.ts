/**
 * The hosts that requests to the management port may name. A web page in an operator's browser could point a name of its own
 * at this port and read it (DNS rebinding), so only names that the operator has configured are accepted.
 *
 *     the port listens on      a request may name, with any port
 *     always                   localhost, 127.0.0.0/8, [::1], and what APP_MANAGEMENT_ALLOWED_HOSTS lists
 *     a name or an address     that name or address
 *     0.0.0.0 or ::            any IP address: the machine may have several, and a published port one more
 *
 * A page under an IP address can only come from the server at that address, so addresses are safe. A kubelet names the
 * address of the pod, and Prometheus its target: an address with service discovery, a name with static targets. Probes
 * reveal little, and may name any host.
 */

import { isIP } from 'node:net';
import { createHostSet, hostName } from '../http/headers/host.ts';

/** Creates the check of a valid Host field. `listensOn` is the address or name that the port listens on. */
export function createManagementHosts(
  listensOn: string,
  allowed: readonly string[],
): (host: string) => boolean {
  const isListed = createHostSet(['localhost', '::1', listensOn, ...allowed]);
  const isWildcard = listensOn === '0.0.0.0' || listensOn === '::';

  return (host) => {
    const name = hostName(host);
    if (name === '') return false;
    const family = isIP(name);
    if (family !== 0 && (isWildcard || (family === 4 && name.startsWith('127.')))) return true;
    return isListed(name);
  };
}

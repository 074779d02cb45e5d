/**
 * The hosts that requests to the management port may name. A page in the browser of an operator must not read it under a
 * name of its own that it has pointed at this port (DNS rebinding), so a name counts only if somebody here has chosen it.
 *
 *     the port listens on      a request may name, with any port
 *     always                   localhost, 127.0.0.0/8, [::1], and what APP_MANAGEMENT_ALLOWED_HOSTS lists
 *     a name or an address     that name or address
 *     0.0.0.0 or ::            any IP address: the machine may have several, and a published port one more
 *
 * No page can be loaded from an IP address but from the server there, so addresses are no danger. A kubelet names the
 * address of the pod, and Prometheus its target: an address with the usual service discovery, a name with static targets.
 * Probes tell little, and may name any host.
 */

import { isIP } from 'node:net';
import { createHostSet, hostName } from '../http/headers/host.ts';

/** Makes the check of a valid Host field. `listensOn` is the address or the name that the port was opened on. */
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

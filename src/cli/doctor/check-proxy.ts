/** Checks what a proxy in front of the server and this server must agree on. */

import { httpOrigin } from '../../http/connection/addresses.ts';
import { isDeployed } from '../../settings/checks.ts';
import type { Settings } from '../../settings/load.ts';
import { getText } from '../get-text.ts';
import { reachableHost } from '../reachable-host.ts';
import { createFindings, type Finding } from './finding.ts';

const timeoutMs = 3_000;

/** Checks the addresses and times of the settings. */
export function checkProxy(
  { application, security, server }: Settings,
  proxyKeepAliveSeconds: number,
): readonly Finding[] {
  const found = createFindings('proxy');
  const { environment, publicUrl, allowedHosts, corsAllowOrigins } = application;
  if (security.trustProxyHeaders && server.keepAliveSeconds <= proxyKeepAliveSeconds) {
    found.advise(
      `APP_KEEP_ALIVE_SECONDS is ${server.keepAliveSeconds}, and the proxy keeps idle connections for ${proxyKeepAliveSeconds} seconds, so it can send a request into a connection that is being closed: set APP_KEEP_ALIVE_SECONDS to ${proxyKeepAliveSeconds + 5} or more, and APP_SHUTDOWN_GRACE_SECONDS to at least that.`,
    );
  }
  const host = publicUrl === '' ? undefined : new URL(publicUrl).hostname;
  if (host !== undefined && !isAllowedHost(host, allowedHosts)) {
    found.advise(
      `APP_PUBLIC_URL names the host ${host}, which APP_ALLOWED_HOSTS does not contain, so links in mails lead to an error: add it.`,
    );
  }
  if (isDeployed(environment)) {
    const plain = corsAllowOrigins.filter((origin) => origin.startsWith('http://'));
    if (plain.length > 0) {
      found.advise(
        `APP_CORS_ALLOW_ORIGINS contains ${plain.join(', ')}, whose pages can be changed on the network: use https://.`,
      );
    }
    if (publicUrl.startsWith('http://')) {
      found.advise(
        'APP_PUBLIC_URL does not use TLS, so the links in mails can be read on the network: use https://.',
      );
    }
  }
  if (found.list.length === 0)
    found.fine('The hosts, the origins and the time of idle connections are consistent.');
  return found.list;
}

function isAllowedHost(host: string, allowed: readonly string[]): boolean {
  return allowed.some(
    (each) => each === '*' || each === host || (each.startsWith('*.') && host.endsWith(each.slice(1))),
  );
}

/**
 * Asks the metrics of a running server with these settings whether it has ignored forwarding headers, because the peer that sent
 * them is not a trusted proxy.
 */
export async function checkForwarding({ server, security }: Settings): Promise<readonly Finding[]> {
  const found = createFindings('forwarded headers');
  const { management, managementHost, managementToken } = server;
  if (management === null || management.port === 0) {
    found.fine('Not checked, because the management port has no fixed number.');
    return found.list;
  }
  const { port } = management;
  const url = `${httpOrigin(reachableHost(managementHost), port)}/metrics`;
  const headers = managementToken === '' ? {} : { authorization: `Bearer ${managementToken}` };
  const response = await getText(url, timeoutMs, headers).catch(() => undefined);
  if (response?.status !== 200) {
    found.fine(`Not checked, because no server with these settings answers on port ${port}.`);
    return found.list;
  }
  const ignored = sumOf(response.body, 'log_events_total{', 'event="proxy.untrusted_peer"');
  if (ignored === 0) found.fine('The running server has ignored no forwarding header.');
  else if (security.trustProxyHeaders) {
    found.advise(
      'The running server has ignored forwarding headers of a peer that SECURITY_TRUSTED_PROXIES does not contain, so its clients count as one: add the address of your proxy, which the event proxy.untrusted_peer names.',
    );
  } else {
    found.advise(
      'The running server receives forwarding headers and ignores them: if it is behind a proxy, set SECURITY_TRUST_PROXY_HEADERS to true and list the proxy in SECURITY_TRUSTED_PROXIES.',
    );
  }
  return found.list;
}

/** Returns the sum of the series of a metric in the text format of Prometheus that have a label. */
function sumOf(metrics: string, name: string, label: string): number {
  return metrics
    .split('\n')
    .filter((line) => line.startsWith(name) && line.includes(label))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

import { lookup } from 'node:dns/promises';
import { withTimeout } from '../../concurrency/with-timeout.ts';
import { StartError } from '../../errors.ts';
import { createAddressSet } from '../../http/connection/addresses.ts';
import { createAddressCheck } from '../../http-client/checked-lookup.ts';
import type { Settings } from '../../settings/load.ts';

/** How long the start waits for the addresses of the name. */
const lookupMs = 2_000;

/**
 * Checks once, at the start, that the webhook can be called at all. Rejects with a StartError for an address that outgoing
 * requests may not reach. A name that is not resolved now may be later, so the start continues.
 */
export async function assertWebhookUsable({ application, security }: Settings): Promise<void> {
  const { enableAlerting, alertWebhookUrl } = security;
  if (!enableAlerting || alertWebhookUrl === '') return;
  const mayReach = createAddressCheck(createAddressSet(application.outgoingAllowedAddresses));
  const { hostname: host } = new URL(alertWebhookUrl);
  const found = await withTimeout(
    lookup(host.replace(/^\[|\]$/g, ''), { all: true }).catch(() => []),
    lookupMs,
    () => [],
  );
  const refused = found.find(({ address }) => !mayReach(address));
  if (refused === undefined) return;
  throw new StartError(
    `SECURITY_ALERT_WEBHOOK_URL leads to ${refused.address}, which is not a public address, so alerts could not be delivered: add it to APP_OUTGOING_ALLOWED_ADDRESSES, or change the URL.`,
  );
}

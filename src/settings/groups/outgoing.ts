import { addressRanges } from '../kinds/network.ts';
import { variable } from '../variable.ts';

/** The requests that this server sends to other services. */
export const outgoingSettings = {
  outgoingAllowedAddresses: variable('APP_OUTGOING_ALLOWED_ADDRESSES', addressRanges(), {
    default: '[]',
    about:
      'Private addresses and blocks that outgoing requests may reach, such as `10.1.2.0/24` for services of your own network. Public addresses are always allowed.',
  }),
};

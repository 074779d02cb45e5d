/** What is switched off in a deployment although it protects: allowed, for something in front may do it, and never silent. */

import type { LayerName } from './layer-names.ts';
import type { PartialValues } from './table.ts';

/** What happens without each layer that protects. The others add or count something, or cannot be left out. */
const lost: Readonly<Partial<Record<LayerName, string>>> = {
  'request-log': 'requests leave no line in the log',
  deadline: 'a slow request keeps its resources without end',
  'proxy-headers': 'the address of a proxy is taken for that of every client behind it',
  'security-headers': 'browsers are told no policy',
  'trusted-host': 'every Host is answered',
  'https-policy': 'plain HTTP is answered',
  'rate-limit': 'one address can send as much as it likes',
  'caller-limit': 'the limits of users and of routes are not held, such as those of login and registration',
  'content-validation': 'bodies are read before their type is checked',
  idempotency: 'a request that is sent twice is done twice',
};

/** One sentence for each protection that is off in staging or production. */
export function findDisabledProtections({ application, security }: PartialValues): string[] {
  const { environment, disabledLayers = [] } = application;
  if (environment !== 'staging' && environment !== 'production') return [];
  const warnings = disabledLayers.flatMap((layer) => {
    const what = lost[layer];
    return what === undefined
      ? []
      : [
          `APP_DISABLED_LAYERS turns off ${layer} in ${environment}, so ${what}: take it out of the list, unless something in front of this server does its work.`,
        ];
  });
  const off = (isOff: boolean, name: string, what: string) => {
    if (isOff) warnings.push(`${name}=false in ${environment}: ${what}. Set it to true, or leave it out.`);
  };
  off(
    security.rateLimitEnabled === false,
    'SECURITY_RATE_LIMIT_ENABLED',
    'no limit is held, neither of addresses nor of users nor of routes such as login and registration',
  );
  off(security.enforceHttps === false, 'SECURITY_ENFORCE_HTTPS', 'plain HTTP is answered');
  off(security.enableHsts === false, 'SECURITY_ENABLE_HSTS', 'browsers may come back over plain HTTP');
  off(
    security.blockNullBytes === false,
    'SECURITY_BLOCK_NULL_BYTES',
    'URLs with encoded control characters are accepted',
  );
  return warnings;
}

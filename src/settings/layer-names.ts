/** The layers that APP_DISABLED_LAYERS can turn off, from the outermost in. The error boundary always stands. */
export const layerNames = [
  'metrics',
  'request-id',
  'request-log',
  'deadline',
  'proxy-headers',
  'security-headers',
  'trusted-host',
  'https-policy',
  'cors',
  'rate-limit',
  'authenticate',
  'authorise',
  'caller-limit',
  'content-validation',
  'compression',
  'etag',
  'idempotency',
] as const;

export type LayerName = (typeof layerNames)[number];

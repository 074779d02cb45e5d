/** The layers that APP_DISABLED_LAYERS can turn off, from the outermost in. */
export const layerNames = [
  'metrics',
  'request-id',
  'request-log',
  'deadline',
  'proxy-headers',
  'security-headers',
  'trusted-host',
  'cors',
  'rate-limit',
  'https-policy',
  'authenticate',
  'authorise',
  'caller-limit',
  'content-validation',
  'compression',
  'etag',
  'recheck-authority',
  'idempotency',
] as const;

/** The layers that cannot be turned off, and what they are for. */
export const fixedLayers: ReadonlyMap<string, string> = new Map([
  ['error-boundary', 'it keeps errors from leaking'],
  ['message-errors', 'it refuses messages that cannot be trusted'],
]);

export type LayerName = (typeof layerNames)[number];

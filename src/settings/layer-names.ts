/** The layers that APP_DISABLED_LAYERS can disable, outermost first. */
export const layerNames = [
  'metrics',
  'load-shedding',
  'request-id',
  'request-log',
  'deadline',
  'proxy-headers',
  'security-headers',
  'ban-list',
  'trusted-host',
  'geo-block',
  'cors',
  'rate-limit',
  'https-policy',
  'authenticate',
  'authorise',
  'caller-limit',
  'content-validation',
  'circuit-breaker',
  'compression',
  'etag',
  'recheck-authority',
  'idempotency',
] as const;

/** The layers that cannot be disabled, and why. */
export const fixedLayers: ReadonlyMap<string, string> = new Map([
  ['error-boundary', 'it keeps internal errors from reaching clients'],
  ['message-errors', 'it rejects ambiguous and malformed messages'],
]);

export type LayerName = (typeof layerNames)[number];

/**
 * Returns the offered coding that the client prefers (RFC 9110, section 12.5.3), or undefined if there is none. An entry of
 * Accept-Encoding has a weight `q` from 0 to 1; 0 means "not acceptable". A coding that is not listed has the weight of `*`, or
 * 0.
 */
export function preferredEncoding<const Coding extends string>(
  header: string | undefined,
  offered: readonly Coding[],
): Coding | undefined {
  if (header === undefined || header === '') return undefined;
  const known = cache.get(header);
  const weights = known ?? parseWeights(header);
  if (known === undefined && cache.size < 100) cache.set(header, weights);

  let best: Coding | undefined;
  let bestWeight = 0;
  for (const coding of offered) {
    const weight = weights.get(coding) ?? weights.get('*') ?? 0;
    if (weight > bestWeight) {
      best = coding;
      bestWeight = weight;
    }
  }
  return bestWeight >= (weights.get('identity') ?? 0) ? best : undefined;
}

/** Clients send few different headers, so each one is parsed once. */
const cache = new Map<string, ReadonlyMap<string, number>>();

function parseWeights(header: string): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  for (const entry of header.toLowerCase().split(',', 32)) {
    const [coding = '', ...parameters] = entry.split(';').map((part) => part.trim());
    if (coding === '') continue;
    const q = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    const weight = q === undefined ? 1 : Number(q);
    weights.set(coding === 'x-gzip' ? 'gzip' : coding, weight >= 0 && weight <= 1 ? weight : 0);
  }
  return weights;
}

/** Returns whether a client asks for a page, as a browser does when a person opens an address: its Accept lists HTML. */
export function acceptsHtml(accept: string | undefined): boolean {
  const [, parameters] = /(?:^|,)\s*text\/html\s*((?:;[^,]*)?)/i.exec(accept ?? '') ?? [];
  return parameters !== undefined && !/;\s*q=0(?:\.0*)?\s*(?:;|$)/i.test(parameters);
}

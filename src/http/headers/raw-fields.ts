/**
 * How often a field stands in a request, by its lower-case name. Node's `headers` cannot tell: of two fields of one name
 * it keeps the first, or joins both; in `rawHeaders`, names and values in turn, all still stand.
 */
export function countFields(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const field = rawHeaders[at];
    if (field?.length === name.length && field.toLowerCase() === name) count += 1;
  }
  return count;
}

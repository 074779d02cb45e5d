/**
 * Returns how many fields of a lower-case name a request has. `rawHeaders` alternates names and values. `headers` of Node does
 * not show the number: for repeated fields it keeps the first one or joins all.
 */
export function countFields(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const field = rawHeaders[at];
    if (field?.length === name.length && field.toLowerCase() === name) count += 1;
  }
  return count;
}

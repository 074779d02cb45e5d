/**
 * The name of the list that a mistyped one was most likely meant to be, or undefined if none is near enough: one
 * slip for each four characters, at most three. A swap of two neighbours is one slip (optimal string alignment).
 */
export function nearestName(typed: string, names: readonly string[]): string | undefined {
  let nearest: string | undefined;
  let minEdits = Math.max(1, Math.min(3, Math.floor(typed.length / 4))) + 1;
  for (const name of names) {
    // The slips are at least as many as the lengths differ by, so most names need no table.
    if (Math.abs(name.length - typed.length) >= minEdits) continue;
    const edits = countEdits(typed, name);
    if (edits < minEdits) [nearest, minEdits] = [name, edits];
  }
  return nearest;
}

/** Characters to insert, delete, replace or swap with their neighbour until `a` is `b`. */
function countEdits(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      current[column] = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + (same ? 0 : 1),
        swapped ? at(beforeLast, column - 2) + 1 : Infinity,
      );
    }
    [beforeLast, last] = [last, current];
  }
  return at(last, b.length);
}

const at = (row: readonly number[], column: number) => row[column] ?? Infinity;

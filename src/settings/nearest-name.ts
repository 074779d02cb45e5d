/**
 * Returns the name that is nearest to a mistyped one, or undefined if all names are too different. One edit is allowed for every
 * four typed characters: at least one, at most three. Swapping two neighbours is one edit (optimal string alignment).
 */
export function nearestName(typed: string, names: readonly string[]): string | undefined {
  let nearest: string | undefined;
  // A name is nearer if it needs fewer edits than this.
  let editLimit = Math.max(1, Math.min(3, Math.floor(typed.length / 4))) + 1;
  for (const name of names) {
    // At least as many edits as the lengths differ are needed, so most names are excluded without counting.
    if (Math.abs(name.length - typed.length) >= editLimit) continue;
    const edits = countEdits(typed, name);
    if (edits < editLimit) [nearest, editLimit] = [name, edits];
  }
  return nearest;
}

/** Returns how many characters to insert, delete, replace or swap with their neighbour to turn `a` into `b`. */
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

/** The row of a statement that returns exactly one, whatever is in the tables. Throws an Error if it did not. */
export function onlyRow<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined || rows.length > 1)
    throw new Error(`One row was to come back, and ${rows.length} did.`);
  return row;
}

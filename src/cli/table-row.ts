/** A line of a table in Markdown. The cells are Markdown, without `|`. */
export function tableRow(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** Rows and cells of the tables of the overview. */

import { element } from './element.js';
import { count } from './format.js';

/** @param {...import('./element.js').Child} cells */
export function tableRow(...cells) {
  return element('tr', {}, ...cells);
}

/**
 * Creates the cell that names a row.
 *
 * @param {import('./element.js').Attributes} attributes
 * @param {...import('./element.js').Child} children
 */
export function rowHead(attributes, ...children) {
  return element('th', { scope: 'row', ...attributes }, ...children);
}

/**
 * @param {string} kind the classes
 * @param {...import('./element.js').Child} children
 */
export function cell(kind, ...children) {
  return element('td', { class: kind }, ...children);
}

/**
 * Creates a cell with a number, which links to the jobs that it counts. Null shows that they are still being counted.
 *
 * @param {number | null} value
 * @param {{ kind?: string, href?: string, key?: string }} [options]
 */
export function numberCell(value, { kind = '', href, key } = {}) {
  if (value === null) return cell('number', '…');
  if (value === 0) return cell('number none', '0');
  const text = count(value);
  return cell(`number ${kind}`, href === undefined ? text : element('a', { href, 'data-key': key }, text));
}

/**
 * Creates a row without data.
 *
 * @param {number} columns
 * @param {string} sentence
 */
export function emptyRow(columns, sentence) {
  return tableRow(element('td', { colspan: columns, class: 'empty' }, sentence));
}

/**
 * Creates a button in a row.
 *
 * @param {{ key: string, label: string, text: string }} names `label` is its full name
 * @param {() => Promise<unknown>} work
 */
export function rowButton({ key, label, text }, work) {
  const button = element('button', { type: 'button', 'data-key': key, 'aria-label': label }, text);
  button.addEventListener('click', () => void work());
  return button;
}

/**
 * Creates elements. Data is only ever inserted as text; no code of these pages parses markup.
 *
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, string | number | boolean | null | undefined>} Attributes
 */

/**
 * Creates an HTML element. Attributes that are null, undefined or false are omitted.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  fill(made, attributes, children);
  return made;
}

/**
 * Creates an SVG element.
 *
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  fill(made, attributes, children);
  return made;
}

/**
 * @param {Element} made
 * @param {Attributes} attributes
 * @param {readonly Child[]} children
 */
function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...present(children));
}

/** @param {readonly Child[]} children */
function present(children) {
  const there = [];
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    there.push(child instanceof Node ? child : String(child));
  }
  return there;
}

/** @type {WeakMap<Element, string>} */
const shown = new WeakMap();

/**
 * Replaces the children of an element if `data` has changed since the last call, so that an update without changes neither
 * flickers nor loses a selection. The focus is restored by `data-key`.
 *
 * @param {Element} parent
 * @param {unknown} data
 * @param {() => readonly Child[]} make
 */
export function show(parent, data, make) {
  const text = JSON.stringify(data);
  if (shown.get(parent) === text) return;
  shown.set(parent, text);
  const active = document.activeElement;
  const key = active instanceof HTMLElement && parent.contains(active) ? active.dataset.key : undefined;
  const open = new Set(Array.from(parent.querySelectorAll('details[open]'), (each) => keyOf(each)));
  parent.replaceChildren(...present(make()));
  for (const details of parent.querySelectorAll('details')) {
    if (open.has(keyOf(details))) details.open = true;
  }
  if (key === undefined) return;
  for (const candidate of parent.querySelectorAll('[data-key]')) {
    if (candidate instanceof HTMLElement && candidate.dataset.key === key) candidate.focus();
  }
}

/** @param {Element} element */
function keyOf(element) {
  return element instanceof HTMLElement ? (element.dataset.key ?? '') : '';
}

/**
 * Returns the element with an id. Throws an Error if it is missing or of another class.
 *
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`The page has no ${kind.name} #${id}.`);
  return found;
}

import assert from 'node:assert/strict';

const piece =
  /<(?<open>[a-z][\w-]*)(?<attributes>(?: [\w:-]+="[^"<&]*")*)(?<empty>\/?)>|<\/(?<close>[a-z][\w-]*)>|(?:[^<&]|&#\d+;)+/gy;

/** Fails unless the text is one XML element: tags that nest, attributes once and in quotes, nothing left to escape. */
export function assertWellFormed(xml: string): void {
  const open: string[] = [];
  let read = 0;
  for (const { 0: text, index, groups } of xml.trim().matchAll(piece)) {
    assert.ok(open.length > 0 || index === 0, `outside of the element: ${text}`);
    read = index + text.length;
    if (groups?.close !== undefined) assert.equal(groups.close, open.pop());
    if (groups?.open === undefined) continue;
    const names = [...(groups.attributes ?? '').matchAll(/ ([\w:-]+)=/g)].map(([, name]) => name);
    assert.equal(new Set(names).size, names.length, `an attribute twice: ${text}`);
    if (groups.empty === '') open.push(groups.open);
  }
  assert.deepEqual(open, []);
  assert.equal(read, xml.trim().length, `not XML: ${xml.slice(read, read + 40)}`);
}

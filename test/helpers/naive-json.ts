/**
 * Reads JSON exactly as RFC 8259 defines it, one character at a time. The state is a stack of the parts that are still
 * expected. It is slow and simple: tests compare the error finder of the parser with it.
 */

/** The parts that the reader can expect. A single character expects itself. */
type Expected =
  | 'value'
  | 'value or ]'
  | 'name'
  | 'name or }'
  | ', or ]'
  | ', or }'
  | 'text'
  | 'escape'
  | 'hex'
  | 'first digit'
  | 'digit'
  | 'more digits'
  | 'integer, maybe more'
  | 'fraction, maybe more'
  | 'after zero'
  | 'sign or digit'
  | (string & {});

/** Returns the index of the first character that no JSON text can have there, the length if the text ends too early, or undefined. */
export function errorPosition(text: string): number | undefined {
  const stack: Expected[] = ['value'];
  for (let at = 0; at < text.length; at += 1) {
    if (!accept(stack, text.charAt(at))) return at;
  }
  return stack.every((expected) => endsAnywhere.has(expected)) ? undefined : text.length;
}

/** A number at the end of the text is complete in these states. */
const endsAnywhere = new Set<Expected>([
  'more digits',
  'integer, maybe more',
  'fraction, maybe more',
  'after zero',
]);

const isDigit = (character: string) => /[0-9]/.test(character);

function accept(stack: Expected[], character: string): boolean {
  const expected = stack.pop();
  const goOn = (...next: Expected[]) => {
    stack.push(...next.reverse());
    return true;
  };
  const isSpace = ' \t\n\r'.includes(character);
  switch (expected) {
    case undefined:
      return isSpace;
    case 'text':
      if (character === '"') return true;
      if (character === '\\') return goOn('escape', 'text');
      return character >= ' ' && goOn('text');
    case 'escape':
      return character === 'u' ? goOn('hex', 'hex', 'hex', 'hex') : '"\\/bfnrt'.includes(character);
    case 'hex':
      return /[0-9a-fA-F]/.test(character);
    case 'sign or digit':
      return '+-'.includes(character)
        ? goOn('digit', 'more digits')
        : isDigit(character) && goOn('more digits');
    case 'digit':
      return isDigit(character);
    case 'first digit':
      return startNumber(character, goOn);
    case 'more digits':
      return isDigit(character) ? goOn('more digits') : accept(stack, character);
    case 'fraction, maybe more':
      if (isDigit(character)) return goOn('fraction, maybe more');
      return 'eE'.includes(character) ? goOn('sign or digit') : accept(stack, character);
    case 'integer, maybe more':
      if (isDigit(character)) return goOn('integer, maybe more');
      return afterInteger(stack, character, goOn);
    case 'after zero':
      return afterInteger(stack, character, goOn);
  }
  if (expected.length === 1 && /[a-z]/.test(expected)) return character === expected;
  if (isSpace) return goOn(expected);
  switch (expected) {
    case ':':
      return character === ':';
    case 'name or }':
      if (character === '}') return true;
      return character === '"' && goOn('text', ':', 'value', ', or }');
    case 'name':
      return character === '"' && goOn('text', ':', 'value', ', or }');
    case ', or }':
      return character === '}' || (character === ',' && goOn('name'));
    case ', or ]':
      return character === ']' || (character === ',' && goOn('value', ', or ]'));
    case 'value or ]':
      if (character === ']') return true;
      return startValue(character, (...next) => goOn(...next, ', or ]'));
    default:
      return startValue(character, goOn);
  }
}

type GoOn = (...next: Expected[]) => boolean;

function afterInteger(stack: Expected[], character: string, goOn: GoOn): boolean {
  if (character === '.') return goOn('digit', 'fraction, maybe more');
  return 'eE'.includes(character) ? goOn('sign or digit') : accept(stack, character);
}

function startNumber(character: string, goOn: GoOn): boolean {
  return character === '0' ? goOn('after zero') : isDigit(character) && goOn('integer, maybe more');
}

function startValue(character: string, goOn: GoOn): boolean {
  if (character === '{') return goOn('name or }');
  if (character === '[') return goOn('value or ]');
  if (character === '"') return goOn('text');
  if (character === '-') return goOn('first digit');
  const literal = ['true', 'false', 'null'].find((each) => each.startsWith(character));
  return literal === undefined ? startNumber(character, goOn) : goOn(...literal.slice(1));
}

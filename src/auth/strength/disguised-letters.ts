/**
 * The letters that people replace by digits and signs, as in "p@ssw0rd". There are two tables, because 8 and 9 are used
 * both as letters and as plain numbers. The password policy decodes a whole password before it looks it up: with 8 and 9
 * decoded, it would no longer find "porsche9" in "p0rsche9". The estimate of bits decodes one word at a time, and there 8 and
 * 9 only add guesses.
 */

/** The replacements that are nearly always letters. */
export const unambiguousDisguises: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'i',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '@': 'a',
  $: 's',
  '!': 'i',
};

/** All replacements, including the digits 8 and 9. */
export const allDisguises: Readonly<Record<string, string>> = { ...unambiguousDisguises, '8': 'b', '9': 'g' };

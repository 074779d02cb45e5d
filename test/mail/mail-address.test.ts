import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as z from 'zod';
import { email } from '../../src/http/body/fields.ts';
import { localMailAddress, mailAddress } from '../../src/mail/mail-address.ts';
import { createSchemaSet } from '../../src/openapi/schemas.ts';
import { cpuMsOf } from '../helpers/cpu-time.ts';

/** 254 characters with the local part `u`. */
const maxLengthAddress = `u@${`${'a'.repeat(62)}.`.repeat(3)}${'a'.repeat(59)}.abc`;

const accepted = [
  'ada@example.org',
  'u@example.xn--p1ai',
  'u@xn--e1afmkfd.xn--p1ai',
  'a&b@example.org',
  'first=last@example.org',
  'x!y@example.org',
  'u~x@example.org',
  "o'hara+list@example.org",
  "!#$%&'*+-/=?^_`{|}~@example.org",
  '-@example.org',
  'a.b.c@example.org',
  'u@1.example.org',
  'u@a-b--c.example.org',
  'U@EXAMPLE.ORG',
  `${'a'.repeat(64)}@example.org`,
  `u@${'a'.repeat(63)}.org`,
  maxLengthAddress,
];

const rejected: [why: string, address: string][] = [
  ['nothing', ''],
  ['no at sign', 'example.org'],
  ['two at signs', 'a@b@example.org'],
  ['no local part', '@example.org'],
  ['no domain', 'a@'],
  ['a local part of 65 characters', `${'a'.repeat(65)}@example.org`],
  ['a label of 64 characters', `u@${'a'.repeat(64)}.org`],
  ['a top-level label of 64 characters', `u@example.${'a'.repeat(64)}`],
  ['255 characters', maxLengthAddress.replace('u@', 'uv@')],
  ['a dot at the start', '.a@example.org'],
  ['a dot at the end of the local part', 'a.@example.org'],
  ['two dots in a row', 'a..b@example.org'],
  ['an empty label', 'a@example..org'],
  ['a dot at the end', 'a@example.org.'],
  ['a label that starts with a hyphen', 'a@-example.org'],
  ['a label that ends with a hyphen', 'a@example-.org'],
  ['an underscore in the domain', 'a@ex_ample.org'],
  ['a domain of one label', 'a@localhost'],
  ['a domain that ends in a number', 'a@192.0.2.1'],
  ['a top-level domain of one letter', 'a@example.o'],
  ['an address literal', 'a@[192.0.2.1]'],
  ['a quoted local part', '"a b"@example.org'],
  ['a comment', 'a(b)@example.org'],
  ['a space', 'a b@example.org'],
  ['a line break at the end', 'a@example.org\n'],
  ['a comma', 'a,b@example.org'],
  ['a backslash', 'a\\b@example.org'],
  ['a name and angle brackets', 'Ada <ada@example.org>'],
  ['a local part that is not ASCII', 'jürgen@example.org'],
  ['a domain that is not ASCII', 'a@münchen.example'],
  ['full-width letters', '\uff41@example.org'],
  ['a letter that is ASCII in lower case only', 'a@example.\u212aom'],
];

describe('an e-mail address', () => {
  for (const address of accepted) {
    it(`the address ${address} is accepted`, () => assert.equal(email.safeParse(address).success, true));
  }
  for (const [why, address] of rejected) {
    it(`an address with ${why} is rejected`, () => assert.equal(email.safeParse(address).success, false));
  }

  it('an address of one megabyte is checked in less than half a second', () => {
    for (const piece of ['a', 'a.', 'a@', 'a@a.', '-']) {
      const text = piece.repeat(1_000_000 / piece.length);
      assert.ok(cpuMsOf(() => mailAddress.test(text)) < 500);
      assert.ok(cpuMsOf(() => localMailAddress.test(text)) < 500);
    }
  });
});

describe('the OpenAPI schema of an e-mail address', () => {
  const { properties = {} } = createSchemaSet().convert(z.object({ email }), 'input', 'a test');
  const schema = z
    .object({ pattern: z.string(), maxLength: z.int(), format: z.literal('email') })
    .parse(properties.email);
  const pattern = new RegExp(schema.pattern, 'u');

  it('the pattern of the schema accepts and rejects the same addresses', () => {
    for (const address of accepted)
      assert.ok(pattern.test(address) && address.length <= schema.maxLength, address);
    for (const [, address] of rejected) assert.ok(!pattern.test(address), address);
  });

  it('the pattern of the schema agrees with the check on random texts similar to addresses', () => {
    const local = fc.tuple(fc.stringMatching(/^[a-z0-9!&=~_.@"-]{1,4}$/), fc.constantFrom(1, 15, 16, 17));
    const label = fc.tuple(fc.stringMatching(/^[a-z0-9_.-]{1,4}$/), fc.constantFrom(1, 15, 16, 62));
    const repeat = ([text, times]: [string, number]) => text.repeat(times);
    const address = fc
      .tuple(local.map(repeat), fc.array(label.map(repeat), { minLength: 1, maxLength: 5 }))
      .map(([name, labels]) => `${name}@${labels.join('.')}`);
    fc.assert(
      fc.property(address, (text) => {
        const isValid = pattern.test(text) && text.length <= schema.maxLength;
        assert.equal(email.safeParse(text).success, isValid);
      }),
      { numRuns: 1000 },
    );
  });
});

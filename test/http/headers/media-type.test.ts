import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isJson, parseMediaType } from '../../../src/http/headers/media-type.ts';

describe('a Content-Type', () => {
  const table: [header: string, type: string | undefined, charset?: string][] = [
    ['application/json', 'application/json'],
    ['Application/JSON', 'application/json'],
    ['application/json; charset=utf-8', 'application/json', 'utf-8'],
    ['application/json;charset="UTF-8"', 'application/json', 'utf-8'],
    ['application/json ; a=b; Charset=latin1', 'application/json', 'latin1'],
    ['application/merge-patch+json', 'application/merge-patch+json'],
    [' text/plain ', 'text/plain'],
    ['', undefined],
    ['json', undefined],
    ['application/', undefined],
    ['/json', undefined],
    ['application/json, text/plain', undefined],
    ['application json', undefined],
    ['text/html<script>', undefined],
  ];
  for (const [header, type, charset] of table) {
    it(`the Content-Type "${header}" is ${type ?? 'invalid'}${charset === undefined ? '' : ` in ${charset}`}`, () => {
      assert.deepEqual(parseMediaType(header), type === undefined ? undefined : { type, charset });
    });
  }
});

describe('JSON', () => {
  for (const type of ['application/json', 'application/problem+json', 'application/vnd.api+json']) {
    it(`is ${type}`, () => assert.equal(isJson(type), true));
  }
  for (const type of ['text/plain', 'application/jsonp', 'application/json-seq', 'text/json-like']) {
    it(`is not ${type}`, () => assert.equal(isJson(type), false));
  }
});

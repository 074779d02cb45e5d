import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTokenGuesses } from '../../src/management/token-guesses.ts';

test('a client waits only for its own wrong tokens', () => {
  const guesses = createTokenGuesses(() => 0);
  for (let guess = 0; guess < 6; guess += 1) guesses.wrong('192.0.2.1');
  assert.equal(guesses.wait('192.0.2.1'), 1000);
  assert.equal(guesses.wait('192.0.2.2'), 0);
  guesses.right('192.0.2.1');
  assert.equal(guesses.wait('192.0.2.1'), 0);
});

test('beyond the maximum number of clients, the one with the oldest wrong token is forgotten', () => {
  const guesses = createTokenGuesses(() => 0);
  for (let guess = 0; guess < 10; guess += 1) {
    guesses.wrong('first');
    guesses.wrong('second');
  }
  guesses.wrong('first');
  for (let client = 0; client < 9_999; client += 1) guesses.wrong(`client ${client}`);
  assert.equal(guesses.wait('second'), 0);
  assert.notEqual(guesses.wait('first'), 0);
});

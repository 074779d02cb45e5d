/**
 * The router against find-my-way. A path that comes from a socket is a new string, whose hash is not computed yet;
 * so the path is made of bytes for each call, and what that takes is taken off. Half of the routes are static, half have
 * a parameter; the paths asked for lie all over the table. Ours gets paths that `parseTarget` has decoded already, and
 * find-my-way decodes; these paths have nothing to decode.
 */

import assert from 'node:assert/strict';
import findMyWay from 'find-my-way';
import { createRouter } from '../../src/http/router.ts';
import { compare } from './timing.mjs';

const sizes = [10, 1000, 5000];
const asked = 8;

const tables = sizes.map((size) => {
  const routes = Array.from({ length: size }, (_, index) => ({
    method: 'GET',
    path: index % 2 === 0 ? `/api/v1/resource${index}/items` : `/api/v1/resource${index - 1}/items/:id`,
    value: () => index,
  }));
  const theirs = findMyWay();
  for (const { method, path, value } of routes) theirs.on(method, path, value);
  const resources = Array.from({ length: asked }, (_, n) => 2 * Math.floor((n * size) / 2 / asked));
  return { size, resources, ours: createRouter(routes), theirs };
});

const kinds = [
  { name: 'static', pathOf: (resource) => `/api/v1/resource${resource}/items`, found: true },
  { name: 'parameter', pathOf: (resource) => `/api/v1/resource${resource}/items/4711`, found: true },
  { name: 'miss', pathOf: (resource) => `/api/v1/resource${resource}/nothing`, found: false },
];

for (const { name, pathOf, found } of kinds) {
  const contestants = tables.flatMap(({ size, resources, ours, theirs }) => {
    const bytes = resources.map((resource) => Buffer.from(pathOf(resource)));
    const makePath = (call) => {
      const path = bytes[call % asked];
      return path.latin1Slice(0, path.length);
    };
    for (let call = 0; call < asked; call += 1) {
      const [own, other] = [ours.match('GET', makePath(call)), theirs.find('GET', makePath(call))];
      assert.equal(own.kind, found ? 'found' : 'unknown');
      assert.equal(other?.handler, own.value);
      assert.deepEqual({ ...other?.params }, { ...own.params });
    }
    const question = `${name}, ${size} routes`;
    const common = { question, overhead: makePath };
    return [
      { ...common, name: 'Strata', ours: true, call: (call) => ours.match('GET', makePath(call)) },
      { ...common, name: 'find-my-way', call: (call) => theirs.find('GET', makePath(call)) },
    ];
  });
  // All sizes in the same rounds, so that they can be compared with each other.
  await compare('router', contestants);
}

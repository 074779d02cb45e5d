/**
 * Decorators without a compile step. A team writes Nest in TypeScript and has it compiled with `experimentalDecorators`
 * and `emitDecoratorMetadata`; what the compiler makes of `@Get() method(@Param() id: number)` is a call of
 * `Reflect.decorate` when the class is loaded. Here those calls are written out, so the same code runs.
 */

import 'reflect-metadata';

/**
 * Decorates a class: itself, and each of the named members. `constructorTypes` is what the compiler notes of the
 * constructor's parameters, by which Nest injects.
 */
export function decorateClass(target, { decorators = [], constructorTypes, members = {} }) {
  for (const [name, { decorators, parameters = [], types }] of Object.entries(members)) {
    const onParameters = parameters.map((decorator, index) => (on, key) => decorator(on, key, index));
    const onTypes = types === undefined ? [] : [Reflect.metadata('design:paramtypes', types)];
    const all = [...decorators, ...onParameters, ...onTypes];
    const descriptor = Object.getOwnPropertyDescriptor(target.prototype, name);
    const decorated = Reflect.decorate(all, target.prototype, name, descriptor);
    if (descriptor !== undefined) Object.defineProperty(target.prototype, name, decorated ?? descriptor);
  }
  const onTypes =
    constructorTypes === undefined ? [] : [Reflect.metadata('design:paramtypes', constructorTypes)];
  const all = [...decorators, ...onTypes];
  return all.length === 0 ? target : Reflect.decorate(all, target);
}

/**
 * Finds out whether routes can certainly be described in the API document, without describing them. Every start asks this: to
 * convert all schemas takes 40 ms of CPU time, and this takes 1 ms. Where the answer is no, the conversion decides, and its
 * error names the route, the place and the field.
 */

import * as z from 'zod';
import type { RouteDeclaration } from '../http/route-declaration.ts';
import { parsePattern } from '../http/router.ts';
import type { SchemaDirection } from './schemas.ts';

/** Returns true if all routes can be described, and false if that is only known after describing them. */
export function areDescribable(routes: readonly RouteDeclaration[]): boolean {
  const hasForm = createFormCheck();
  return routes.every((route) => {
    const { params, query, headers, body } = route;
    const names = parsePattern(route.path).map(({ text }) => text);
    return (
      [params, query, headers].every(
        (each) =>
          each === undefined || (isPlainObject(each) && hasForm(each, 'output') && hasForm(each, 'input')),
      ) &&
      (params === undefined || keysOf(params).every((key) => names.includes(key))) &&
      (body === undefined || hasForm(body, 'input')) &&
      Object.values(route.responses).every(({ schema }) => schema === undefined || hasForm(schema, 'output'))
    );
  });
}

/** Parameters are the properties of an object, so their schema is no component of the document. */
function isPlainObject(schema: z.ZodType): boolean {
  return schema instanceof z.ZodObject && schema.meta()?.id === undefined;
}

function keysOf(schema: z.ZodType): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** Returns a check of schemas that end up in one document, where an id may name one direction of one schema. */
function createFormCheck(): (schema: z.core.$ZodType, direction: SchemaDirection) => boolean {
  const results = { input: new Map<z.core.$ZodType, boolean>(), output: new Map<z.core.$ZodType, boolean>() };
  const ids = new Map<string, { readonly schema: z.core.$ZodType; readonly direction: SchemaDirection }>();

  function hasForm(schema: z.core.$ZodType, direction: SchemaDirection): boolean {
    const known = results[direction].get(schema);
    if (known !== undefined) return known;
    // While its parts are checked, so that a schema that contains itself is left to the conversion.
    results[direction].set(schema, false);
    const result = hasOwnId(schema, direction) && partsHaveForm(schema, direction);
    results[direction].set(schema, result);
    return result;
  }

  /** An id must name one direction of one schema. */
  function hasOwnId(schema: z.core.$ZodType, direction: SchemaDirection): boolean {
    const id = z.globalRegistry.get(schema)?.id;
    if (id === undefined) return true;
    const first = ids.get(id) ?? { schema, direction };
    ids.set(id, first);
    return first.schema === schema && first.direction === direction;
  }

  function partsHaveForm(schema: z.core.$ZodType, direction: SchemaDirection): boolean {
    const each = (parts: readonly z.core.$ZodType[]) => parts.every((part) => hasForm(part, direction));
    const { def } = (schema as z.core.$ZodTypes)._zod;
    switch (def.type) {
      case 'string':
      case 'number':
      case 'boolean':
      case 'null':
      case 'enum':
      case 'any':
      case 'unknown':
      case 'never':
        return true;
      case 'literal':
        return def.values.every((value) => typeof value !== 'bigint' && value !== undefined);
      case 'object':
        return (
          each(Object.values(def.shape)) && (def.catchall === undefined || hasForm(def.catchall, direction))
        );
      case 'array':
        return hasForm(def.element, direction);
      case 'union':
        return each(def.options);
      case 'record':
        return each([def.keyType, def.valueType]);
      case 'optional':
      case 'nullable':
      case 'readonly':
      case 'default':
        return hasForm(def.innerType, direction);
      case 'pipe':
        return hasForm(direction === 'output' ? def.out : def.in, direction);
      default:
        return false;
    }
  }

  return hasForm;
}

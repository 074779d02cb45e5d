import { isFilter, join, literal, pluralType } from './feature-text.ts';
import { type Field, maxTextLength } from './field.ts';
import type { ResourceName } from './name.ts';

/** The routes of a generated feature. */
export function featureRoutes({ many, one, type, aOne }: ResourceName, fields: readonly Field[]): string {
  const Many = pluralType(many);
  const filters = fields.filter(isFilter);
  const parameter = ({ name, type: kind, words }: Field) => {
    const about =
      kind === 'boolean'
        ? `True lists only ${many} that are ${words}, false only the others.`
        : `Only ${many} with this ${words}.`;
    const meta = `.meta({ description: '${about}' })`;
    if (kind === 'boolean') return `${name}: booleanParameter.optional()${meta}`;
    if (kind === 'integer') return `${name}: integerParameter(0, 2_147_483_647).optional()${meta}`;
    return `${name}: z.string().max(${maxTextLength}).optional()${meta}`;
  };
  const helpers = [
    ...(filters.some(({ type: kind }) => kind === 'boolean') ? ['booleanParameter'] : []),
    'idParameter',
    ...(filters.some(({ type: kind }) => kind === 'integer') ? ['integerParameter'] : []),
    'versionCondition',
    'writeConditions',
  ];
  const example = `{ ${join(fields, ({ name, type: kind }) => `${name}: ${literal(kind)}`, ', ')} }`;
  const [first] = fields;
  const change = first === undefined ? '{}' : `{ ${first.name}: ${literal(first.type)} }`;
  return `import * as z from 'zod';
import { callerOf } from '../../http/caller.ts';
import { keysetOf, pageHeaders, pageOf, pageQuery, pageReply } from '../../http/parameters/pagination.ts';
import { ${helpers.join(', ')} } from '../../http/parameters/parameters.ts';
import { createdHeaders, rowReplies, shownHeaders } from '../../http/parameters/versioned-row.ts';
import { noContent } from '../../http/reply.ts';
import { type Route, route } from '../../http/route.ts';
import type { ${type}, ${Many} } from './${many}.ts';
import { max${type}Bytes, new${type}, ${one}, ${one}Patch } from './schema.ts';

export interface ${Many}RoutesOptions {
  readonly ${many}: ${Many};
  /** The prefix of these paths, such as \`/api/v1\`. */
  readonly prefix: string;
}

const params = z.object({ id: idParameter.describe('The number of the ${one}.') });
const listQuery = pageQuery.extend({
${join(filters, (field) => `  ${parameter(field)},`)}
});
const ${one}Page = pageOf(${one}).meta({ id: '${type}Page' });

export function ${many}Routes({ ${many}, prefix }: ${Many}RoutesOptions): Route[] {
  const path = \`\${prefix}/${many}\`;
  const { shown, created } = rowReplies<${type}>(path);
  return [
    route({
      method: 'POST',
      path: '/${many}',
      operationId: 'create${type}',
      summary: 'Create ${aOne}',
      description: 'Its owner is the caller.',
      tags: ['${many}'],
      auth: 'any',
      scopes: ['${many}:write'],
      idempotent: true,
      body: new${type},
      maxBody: max${type}Bytes,
      example: ${example},
      responses: {
        201: { description: 'The new ${one}.', schema: ${one}, headers: createdHeaders },
      },
      problems: ['forbidden', 'database_unavailable'],
      async handler({ body, ctx, recordReply }) {
        return created(await ${many}.create(callerOf(ctx), body, recordReply(created)));
      },
    }),
    route({
      method: 'GET',
      path: '/${many}',
      operationId: 'list${Many}',
      summary: 'List your ${many}',
      description: 'Newest first, one page at a time. The \`Link\` header has the next and the previous page.',
      tags: ['${many}'],
      auth: 'any',
      scopes: ['${many}:read'],
      query: listQuery,
      responses: {
        200: { description: 'A page of ${many}.', schema: ${one}Page, headers: pageHeaders },
      },
      problems: ['database_unavailable'],
      async handler({ query, ctx }) {
        return pageReply(path, query, await ${many}.list(callerOf(ctx), keysetOf(query), query));
      },
    }),
    route({
      method: 'GET',
      path: '/${many}/:id',
      operationId: 'get${type}',
      summary: 'Read ${aOne}',
      description: 'For its owner and for admins.',
      tags: ['${many}'],
      auth: 'any',
      scopes: ['${many}:read'],
      params,
      responses: { 200: { description: 'The ${one}.', schema: ${one}, headers: shownHeaders } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ params, ctx }) {
        return shown(await ${many}.get(callerOf(ctx), params.id));
      },
    }),
    route({
      method: 'PATCH',
      path: '/${many}/:id',
      operationId: 'update${type}',
      summary: 'Change ${aOne}',
      description:
        'Changes the fields that are sent (RFC 7396) and leaves the others. With \`If-Match\`, only if the ${one} has not ' +
        'changed since it was read. For its owner and for admins.',
      tags: ['${many}'],
      auth: 'any',
      scopes: ['${many}:write'],
      idempotent: true,
      params,
      headers: writeConditions,
      body: ${one}Patch,
      maxBody: max${type}Bytes,
      accepts: ['application/json', 'application/merge-patch+json'],
      example: ${change},
      responses: { 200: { description: 'The changed ${one}.', schema: ${one}, headers: shownHeaders } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ params, headers, body, ctx, recordReply }) {
        const change = {
          caller: callerOf(ctx),
          id: params.id,
          patch: body,
          condition: versionCondition(headers, params.id),
        };
        return shown(await ${many}.update(change, recordReply(shown)));
      },
    }),
    route({
      method: 'DELETE',
      path: '/${many}/:id',
      operationId: 'delete${type}',
      summary: 'Delete ${aOne}',
      description: 'For its owner and for admins.',
      tags: ['${many}'],
      auth: 'any',
      scopes: ['${many}:write'],
      params,
      headers: writeConditions,
      responses: { 204: { description: 'The ${one} is deleted.' } },
      problems: ['not_found', 'database_unavailable'],
      async handler({ params, headers, ctx }) {
        await ${many}.remove(callerOf(ctx), params.id, versionCondition(headers, params.id));
        return noContent();
      },
    }),
  ];
}
`;
}

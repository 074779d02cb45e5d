import { type Field, type FieldType, maxTextLength } from './field.ts';
import { camelCase, type ResourceName } from './name.ts';

/** The files of a feature by their name in its folder, and the text of its migration as `sql`. */
export function featureFiles(name: ResourceName, fields: readonly Field[]) {
  return {
    'feature.ts': frontFile(name),
    'routes.ts': routesFile(name, fields),
    [`${name.many}.ts`]: rulesFile(name),
    'store.ts': storeFile(name, fields),
    'schema.ts': schemaFile(name, fields),
    sql: migration(name, fields),
  };
}

/** An example of a value, as JSON. */
export const examples: Readonly<Record<FieldType, string | number | boolean>> = {
  text: 'A text',
  integer: 7,
  boolean: true,
  timestamp: '2026-01-31T12:00:00.000Z',
};

/** A list of this type of field can be filtered by it. */
export const isFilter = ({ type }: Field): boolean =>
  type === 'boolean' || type === 'integer' || type === 'text';

const sqlTypes: Readonly<Record<FieldType, string>> = {
  text: 'text not null',
  integer: 'integer not null',
  boolean: 'boolean not null default false',
  timestamp: 'timestamptz not null',
};

const rowTypes: Readonly<Record<FieldType, string>> = {
  text: 'string',
  integer: 'number',
  boolean: 'boolean',
  timestamp: 'Date',
};

const texts = (fields: readonly Field[]) => fields.filter(({ type }) => type === 'text');
const lengthOf = ({ name }: Field) => `${camelCase(name)}Length`;
const join = <Item>(items: readonly Item[], write: (item: Item) => string, between = '\n') =>
  items.map(write).join(between);

function frontFile({ many, one, type }: ResourceName): string {
  return `import type { Feature } from '../feature.ts';
import { create${pluralType(many)} } from './${many}.ts';
import { ${many}Routes } from './routes.ts';

const scopes = [
  { name: '${many}:read', description: 'Read the ${many} of the user.' },
  { name: '${many}:write', description: 'Create, change and delete ${many} of the user.' },
] as const;

const events = ['${one}.created', '${one}.deleted', '${one}.updated'] as const;

declare module '../../auth/principal.ts' {
  interface ScopeRegistry extends Record<(typeof scopes)[number]['name'], true> {}
}

declare module '../../observability/events.ts' {
  interface EventRegistry extends Record<(typeof events)[number], true> {}
}

/** The ${many} of users. */
export const ${many} = {
  name: '${many}',
  tags: [{ name: '${many}', description: 'The ${many} of a user.' }],
  scopes,
  events,

  routes({ settings, database, log, metrics }) {
    const created = metrics.counter({ name: '${many}_created_total', help: 'Counts created ${many}.' });
    const ${many} = create${pluralType(many)}({ database, log: log.named('${many}'), created: created.of() });
    return ${many}Routes({ ${many}, prefix: settings.application.apiPrefix });
  },
} satisfies Feature;
`;
}

/** The plural as a type name: `Projects`. */
function pluralType(many: string): string {
  return many.charAt(0).toUpperCase() + many.slice(1);
}

function schemaFile({ one, type, aOne, many }: ResourceName, fields: readonly Field[]): string {
  const input = ({ name, type: kind, words }: Field) => {
    const meta = `.meta({ description: 'The ${words} of the ${one}.', example: ${literal(kind)} })`;
    const length = `${camelCase(name)}Length`;
    if (kind === 'text') return `text({ min: 1, max: ${length} })${meta}`;
    if (kind === 'integer') return `z.int32()${meta}`;
    if (kind === 'boolean') return `z.boolean()${meta}`;
    return `z.iso.datetime({ offset: true, error: 'Use a time such as 2026-01-31T12:00:00Z.' })${meta}`;
  };
  const output = ({ name, type: kind, words }: Field) => {
    const length = kind === 'text' ? `, maxLength: ${camelCase(name)}Length` : '';
    const meta = `.meta({ description: 'The ${words} of the ${one}.', example: ${literal(kind)}${length} })`;
    if (kind === 'timestamp') return `timestamp.meta({ description: 'The ${words} of the ${one}.' })`;
    return `${{ text: 'z.string()', integer: 'z.int32()', boolean: 'z.boolean()' }[kind]}${meta}`;
  };
  const booleans = fields.filter(({ type: kind }) => kind === 'boolean');
  const creation =
    booleans.length === 0
      ? 'fields'
      : `{ ...fields, ${join(booleans, ({ name }) => `${name}: fields.${name}.default(false)`, ', ')} }`;
  const bytes = [...texts(fields).map(lengthOf), '200'].join(' + ');
  return `import * as z from 'zod';
import { id, patchOf${texts(fields).length > 0 ? ', text' : ''}, timestamp } from '../../http/headers/fields.ts';

${join(texts(fields), (field) => `const ${lengthOf(field)} = ${maxTextLength};`)}

const fields = {
${join(fields, (field) => `  ${field.name}: ${input(field)},`)}
};

/** The body that creates ${aOne}. */
export const new${type} = z.strictObject(${creation}).meta({ id: 'New${type}' });
export type New${type} = Readonly<z.output<typeof new${type}>>;

/** The body that changes ${aOne}. */
export const ${one}Patch = patchOf(fields).meta({ id: '${type}Patch' });
export type ${type}Patch = Readonly<z.output<typeof ${one}Patch>>;

/** ${capital(aOne)} in responses. The table checks the lengths; here they only inform. */
export const ${one} = z
  .object({
    id: id.meta({ description: 'The number of the ${one}.' }),
    owner_id: id.meta({ description: 'The number of the user who owns it.' }),
${join(fields, (field) => `    ${field.name}: ${output(field)},`)}
    created_at: timestamp.meta({ description: 'When the ${one} was created.' }),
    updated_at: timestamp.meta({ description: 'When the ${one} was last changed.' }),
  })
  .meta({ id: '${type}' });

/** The maximum size of a body that has all fields of ${many}: a character may arrive as two \\uXXXX escapes. */
export const max${type}Bytes = 12 * (${bytes}) + ${fields.length * 100};
`;
}

function storeFile({ many, one, type, aOne }: ResourceName, fields: readonly Field[]): string {
  const names = fields.map(({ name }) => name);
  const filters = fields.filter(isFilter);
  const filterType = `${type}Filter`;
  return `import { violatedConstraint } from '../../db/database-error.ts';
import { type Keyset, keysetCondition, keysetOrder } from '../../db/keyset.ts';
import { onlyRow, type Sql } from '../../db/sql.ts';
import type { New${type}, ${type}Patch } from './schema.ts';

/** A row of \`${many}\`. */
export interface ${type} {
  readonly id: number;
  readonly owner_id: number;
${join(fields, ({ name, type: kind }) => `  readonly ${name}: ${rowTypes[kind]};`)}
  /** Counts the changes; the entity tag contains it. */
  readonly version: number;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** Selects the rows that have these values. */
export interface ${filterType} {
${join(filters, ({ name, type: kind }) => `  readonly ${name}?: ${rowTypes[kind]} | undefined;`)}
}

/** Whether an error means that the owner does not exist. */
export function isUnknownOwner(error: unknown): boolean {
  return violatedConstraint(error) === '${many}_owner_id_fkey';
}

export async function insert${type}(sql: Sql, ownerId: number, fields: New${type}): Promise<${type}> {
  const rows = await sql<${type}[]>\`
    insert into ${many} (owner_id, ${names.join(', ')})
    values (\${ownerId}, ${join(names, (name) => `\${fields.${name}}`, ', ')})
    returning \${columns(sql)}\`;
  return onlyRow(rows);
}

export async function find${type}(sql: Sql, id: number): Promise<${type} | undefined> {
  const [${one}] = await sql<${type}[]>\`select \${columns(sql)} from ${many} where id = \${id}\`;
  return ${one};
}

/** Finds ${aOne} and locks it until the transaction ends. */
export async function lock${type}(sql: Sql, id: number): Promise<${type} | undefined> {
  const [${one}] = await sql<${type}[]>\`select \${columns(sql)} from ${many} where id = \${id} for update\`;
  return ${one};
}

export function list${pluralType(many)}(
  sql: Sql,
  keyset: Keyset,
  ownerId: number,
  filter: ${filterType},
): Promise<${type}[]> {
  return sql<${type}[]>\`
    select \${columns(sql)} from ${many}
    where owner_id = \${ownerId}
${join(filters, ({ name }) => `      and \${filter.${name} === undefined ? sql\`true\` : sql\`${name} = \${filter.${name}}\`}`)}
      and \${keysetCondition(sql, 'id', keyset)}
    \${keysetOrder(sql, 'id', keyset)}\`;
}

/** Changes the fields of the patch and leaves the others. The row must be locked. */
export async function update${type}(sql: Sql, id: number, patch: ${type}Patch): Promise<${type}> {
  const rows = await sql<${type}[]>\`
    update ${many}
    set
${join(names, (name) => `      ${name} = coalesce(\${patch.${name} ?? null}, ${name}),`)}
      version = version + 1,
      updated_at = now()
    where id = \${id}
    returning \${columns(sql)}\`;
  return onlyRow(rows);
}

export async function delete${type}(sql: Sql, id: number): Promise<void> {
  await sql\`delete from ${many} where id = \${id}\`;
}

function columns(sql: Sql) {
  return sql\`id, owner_id, ${names.join(', ')}, version, created_at, updated_at\`;
}
`;
}

function rulesFile({ many, one, type, aOne }: ResourceName): string {
  const Many = pluralType(many);
  return `/**
 * ${Many} belong to users and are deleted with them. Only the owner and admins can see one; for everyone else it does not
 * exist, so that nobody learns which ids are in use.
 */

import { mayActFor, type Principal } from '../../auth/principal.ts';
import type { Database } from '../../db/database.ts';
import { type Keyset, type KeysetPage, keysetPage } from '../../db/keyset.ts';
import type { BeforeCommit } from '../../db/transaction.ts';
import { AppError } from '../../errors.ts';
import type { Logger } from '../../observability/logger.ts';
import type { CounterSeries } from '../../observability/metrics/metrics.ts';
import type { New${type}, ${type}Patch } from './schema.ts';
import {
  delete${type},
  find${type},
  insert${type},
  isUnknownOwner,
  list${Many},
  lock${type},
  type ${type},
  type ${type}Filter,
  update${type},
} from './store.ts';

export type { ${type} };

/** Whether the caller wants the change although the row has this version by now. */
type VersionCondition = (version: number) => boolean;

export interface ${type}Change {
  readonly caller: Principal;
  readonly id: number;
  readonly patch: ${type}Patch;
  readonly condition: VersionCondition;
}

/**
 * Every method rejects with an AppError: \`not_found\` for ${aOne} that does not exist or belongs to another user,
 * \`precondition_failed\` for a version that the caller did not want to change, and those of the database.
 */
export interface ${Many} {
  create(owner: Principal, fields: New${type}, beforeCommit?: BeforeCommit<${type}>): Promise<${type}>;
  get(caller: Principal, id: number): Promise<${type}>;
  /** The ${many} of the caller, newest first. */
  list(caller: Principal, keyset: Keyset, filter: ${type}Filter): Promise<KeysetPage<${type}>>;
  update(change: ${type}Change, beforeCommit?: BeforeCommit<${type}>): Promise<${type}>;
  remove(caller: Principal, id: number, condition: VersionCondition): Promise<void>;
}

export interface ${Many}Options {
  readonly database: Database;
  readonly log: Logger;
  /** Counts created ${many}. */
  readonly created: CounterSeries;
}

export function create${Many}({ database, log, created }: ${Many}Options): ${Many} {
  const { sql } = database;
  return {
    async create(owner, fields, beforeCommit) {
      const creating = database.transaction(async (tx) => {
        const inserted = await insert${type}(tx, owner.userId, fields);
        await beforeCommit?.(tx, inserted);
        return inserted;
      });
      const ${one} = await creating.catch((error: unknown) => {
        throw isUnknownOwner(error) ? ownerIsDeleted() : error;
      });
      created.add();
      log.info('${one}.created', { ${one}_id: ${one}.id, owner_id: ${one}.owner_id });
      return ${one};
    },

    async get(caller, id) {
      return visible(await find${type}(sql, id), caller, id);
    },

    async list(caller, keyset, filter) {
      return keysetPage(await list${Many}(sql, keyset, caller.userId, filter), keyset);
    },

    async update({ caller, id, patch, condition }, beforeCommit) {
      const ${one} = await database.transaction(async (tx) => {
        assertVersion(visible(await lock${type}(tx, id), caller, id), condition);
        const updated = await update${type}(tx, id, patch);
        await beforeCommit?.(tx, updated);
        return updated;
      });
      log.info('${one}.updated', {
        ${one}_id: id,
        owner_id: ${one}.owner_id,
        fields: Object.keys(patch),
        by_user_id: caller.userId,
      });
      return ${one};
    },

    async remove(caller, id, condition) {
      const ${one} = await database.transaction(async (tx) => {
        const locked = visible(await lock${type}(tx, id), caller, id);
        assertVersion(locked, condition);
        await delete${type}(tx, id);
        return locked;
      });
      log.info('${one}.deleted', { ${one}_id: id, owner_id: ${one}.owner_id, by_user_id: caller.userId });
    },
  };
}

/** Returns the row if it exists and the caller may see it. Otherwise throws \`not_found\`. */
function visible(${one}: ${type} | undefined, caller: Principal, id: number): ${type} {
  if (${one} !== undefined && mayActFor(caller, ${one}.owner_id)) return ${one};
  throw new AppError('not_found', \`There is no ${one} with the id \${id}.\`);
}

function assertVersion({ version }: ${type}, condition: VersionCondition): void {
  if (condition(version)) return;
  throw new AppError(
    'precondition_failed',
    'The ${one} is not in the state that If-Match or If-None-Match asks for: read it again, and repeat with its ETag.',
  );
}

/** A credential stays valid for some seconds after its user was deleted by another process. */
function ownerIsDeleted(): AppError {
  return new AppError('forbidden', 'Your account has been deleted, so it can own no ${many}.');
}
`;
}

function routesFile({ many, one, type, aOne }: ResourceName, fields: readonly Field[]): string {
  const Many = pluralType(many);
  const filters = fields.filter(isFilter);
  const parameter = ({ name, type: kind, words }: Field) => {
    const meta = `.meta({ description: 'Only ${many} with this ${words}.' })`;
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
import { versionTag } from '../../http/headers/conditional.ts';
import { pageBody, pageLinks, pageOf, pageQuery, positionOf } from '../../http/pagination.ts';
import { ${helpers.join(', ')} } from '../../http/parameters.ts';
import { created, noContent, ok } from '../../http/reply.ts';
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
const etag = 'The version of the ${one}, for \`If-Match\` and \`If-None-Match\`.';

export function ${many}Routes({ ${many}, prefix }: ${Many}RoutesOptions): Route[] {
  const shown = (${one}: ${type}) => ok(${one}, { etag: versionTag(${one}.id, ${one}.version) });
  const written = (${one}: ${type}) =>
    created(${one}, \`\${prefix}/${many}/\${${one}.id}\`, { etag: versionTag(${one}.id, ${one}.version) });
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
        201: {
          description: 'The new ${one}.',
          schema: ${one},
          headers: { Location: 'The path of the ${one}.', ETag: etag },
        },
      },
      problems: ['forbidden', 'database_unavailable'],
      async handler({ body, ctx, recordReply }) {
        return written(await ${many}.create(callerOf(ctx), body, recordReply(written)));
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
        200: {
          description: 'A page of ${many}.',
          schema: ${one}Page,
          headers: { Link: 'The neighbouring pages (RFC 8288).' },
        },
      },
      problems: ['database_unavailable'],
      async handler({ query, ctx }) {
        const keyset = { limit: query.limit, from: positionOf(query) };
        const page = await ${many}.list(callerOf(ctx), keyset, query);
        return ok(pageBody(page), pageLinks(\`\${prefix}/${many}\`, query, page));
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
      responses: { 200: { description: 'The ${one}.', schema: ${one}, headers: { ETag: etag } } },
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
      responses: { 200: { description: 'The changed ${one}.', schema: ${one}, headers: { ETag: etag } } },
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

function migration({ many, one }: ResourceName, fields: readonly Field[]): string {
  const checks = texts(fields).map(
    ({ name }) =>
      `  constraint ${many}_${name}_length check (length(${name}) between 1 and ${maxTextLength}),`,
  );
  return `-- The ${many} of users. Each ${one} is deleted with its owner. The index serves the list of one owner's ${many} by cursor.

-- migrate: up
create table ${many} (
  id bigint generated always as identity primary key,
  owner_id bigint not null references users (id) on delete cascade,
${join(fields, ({ name, type }) => `  ${name} ${sqlTypes[type]},`)}
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
${checks.join('\n')}${checks.length > 0 ? '\n' : ''}  constraint ${many}_version_positive check (version > 0)
);

create index ${many}_owner_id_key on ${many} (owner_id, id desc);

-- migrate: down
drop table ${many};
`;
}

/** The example of a type, as TypeScript. */
export function literal(type: FieldType): string {
  const value = examples[type];
  return typeof value === 'string' ? `'${value}'` : String(value);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

import { featureRoutes } from './feature-routes.ts';
import { featureRules } from './feature-rules.ts';
import { isFilter, join, literal, pluralType } from './feature-text.ts';
import { type Field, type FieldType, maxTextLength } from './field.ts';
import { camelCase, type ResourceName } from './name.ts';

/** The files of a feature by their name in its folder, and the text of its migration as `sql`. */
export function featureFiles(name: ResourceName, fields: readonly Field[]) {
  return {
    'feature.ts': frontFile(name),
    'routes.ts': featureRoutes(name, fields),
    [`${name.many}.ts`]: featureRules(name),
    'store.ts': storeFile(name, fields),
    'schema.ts': schemaFile(name, fields),
    sql: migration(name, fields),
  };
}

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
/** The field in sentences: `the due date of the project`, `whether the project is archived`. */
const sentenceOf = ({ type, words }: Field, one: string) =>
  type === 'boolean' ? `Whether the ${one} is ${words}.` : `The ${words} of the ${one}.`;

function frontFile({ many, one }: ResourceName): string {
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

function schemaFile({ one, type, aOne, many }: ResourceName, fields: readonly Field[]): string {
  const input = (field: Field) => {
    const { name, type: kind } = field;
    const meta = `.meta({ description: '${sentenceOf(field, one)}', example: ${literal(kind)} })`;
    const length = `${camelCase(name)}Length`;
    if (kind === 'text') return `text({ min: 1, max: ${length} })${meta}`;
    if (kind === 'integer') return `z.int32()${meta}`;
    if (kind === 'boolean') return `z.boolean()${meta}`;
    return `z.iso.datetime({ offset: true, error: 'Use a time such as 2026-01-31T12:00:00Z.' })${meta}`;
  };
  const output = (field: Field) => {
    if (field.type === 'timestamp') return `timestamp.meta({ description: '${sentenceOf(field, one)}' })`;
    return field.type === 'text' ? `shownAs(fields.${field.name})` : `fields.${field.name}`;
  };
  const booleans = fields.filter(({ type: kind }) => kind === 'boolean');
  const creation =
    booleans.length === 0
      ? 'fields'
      : `{ ...fields, ${join(booleans, ({ name }) => `${name}: fields.${name}.default(false)`, ', ')} }`;
  const bytes = [...texts(fields).map(lengthOf), '200'].join(' + ');
  return `import * as z from 'zod';
import { id, patchOf, ${texts(fields).length > 0 ? 'shownAs, text, ' : ''}timestamp } from '../../http/body/fields.ts';

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

/** ${capital(aOne)} in responses. */
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
import { patchedColumns } from '../../db/patch.ts';
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
export function isUnknown${type}Owner(error: unknown): boolean {
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
    update ${many} set \${patchedColumns(sql, patch, [${join(names, (name) => `'${name}'`, ', ')}])}
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

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * Checks whether a database can be relied on: its encoding, and the defaults that its administrator may have changed
 * (`alter database … set`, `alter role … set`, `postgresql.conf`). Every connection sets the parameters that a pooler
 * lets through (`connection-options.ts`). The others are checked here, before the program starts and in each readiness
 * check.
 *
 * Settings without an effect on this program are not checked: `bytea_output` and `IntervalStyle` (all forms are read,
 * and no value is an interval), `lc_*`, `row_security`, `xmloption`, `quote_all_identifiers`, timeouts (they cancel a
 * statement with a clear error), and `search_path`, which is how a schema is chosen.
 */

import type { Sql } from './sql.ts';

export interface Unsuitability {
  readonly sentence: string;
  /** Whether the database may become suitable by itself, as after a failover. */
  readonly isTemporary: boolean;
}

interface Requirement {
  readonly name: string;
  /** The accepted values. */
  readonly accepts: RegExp;
  /** The value to recommend. */
  readonly wanted: string;
}

const requirements: readonly Requirement[] = [
  // Single statements run in it too, and would fail with 40001 where they are written to wait.
  { name: 'default_transaction_isolation', accepts: /^read committed$/, wanted: 'read committed' },
  // With `replica`, foreign keys are not enforced.
  { name: 'session_replication_role', accepts: /^(?:origin|local)$/, wanted: 'origin' },
  // With `off`, `null` in an array becomes a text of four letters.
  { name: 'array_nulls', accepts: /^on$/, wanted: 'on' },
  { name: 'transform_null_equals', accepts: /^off$/, wanted: 'off' },
  // Below 1, numbers with a fraction lose digits.
  { name: 'extra_float_digits', accepts: /^[1-3]$/, wanted: '1' },
  // Sent with each connection, but a pooler may drop them.
  { name: 'DateStyle', accepts: /^ISO\b/, wanted: 'ISO' },
  { name: 'standard_conforming_strings', accepts: /^on$/, wanted: 'on' },
  { name: 'client_encoding', accepts: /^UTF8$/, wanted: 'UTF8' },
];

const encoding = 'server_encoding';
const readOnly = 'transaction_read_only';
const names = [encoding, readOnly, ...requirements.map(({ name }) => name)];

/** Returns why the database is unsuitable, or undefined if it is suitable. Rejects with database errors. */
export async function findUnsuitability(sql: Sql): Promise<Unsuitability | undefined> {
  const rows = await sql<{ name: string; value: string | null }[]>`
    select name, current_setting(name, true) as value from unnest(${names}::text[]) as wanted (name)`;
  const values = new Map(rows.map(({ name, value }) => [name, value ?? '']));

  const found = values.get(encoding);
  if (found !== 'UTF8') {
    return {
      isTemporary: false,
      sentence: `The database has the encoding ${found}, which cannot store every text: create a database with "create database … encoding 'UTF8' template template0", and copy the data into it.`,
    };
  }
  for (const { name, accepts, wanted } of requirements) {
    const value = values.get(name) ?? '';
    if (accepts.test(value)) continue;
    return {
      isTemporary: false,
      sentence: `The setting ${name} of the database is "${value}", but this program requires "${wanted}": run "alter database … set ${name} = '${wanted}'", or "alter role …" if it was set for the role.`,
    };
  }
  if (values.get(readOnly) === 'on') {
    return {
      isTemporary: true,
      sentence:
        'The database is read-only: promote it if it is a standby, or reset default_transaction_read_only.',
    };
  }
  return undefined;
}

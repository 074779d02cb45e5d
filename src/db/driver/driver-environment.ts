/**
 * Calls `open` while no variable of libpq (`PGHOST`, `PGSSLMODE`, `PGTARGETSESSIONATTRS` and so on) is in the
 * environment, and returns its result. The driver reads such variables when it is opened: one that a shell has set for
 * `psql` would change or break every connection, including those to the embedded database. The driver reads them
 * synchronously and only then, so no other code sees the environment without them.
 */
export function withoutPostgresVariables<Result>(open: () => Result): Result {
  const names = Object.keys(process.env).filter((name) => name.startsWith('PG'));
  const hidden = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) delete process.env[name];
  try {
    return open();
  } finally {
    for (const [name, value] of hidden) process.env[name] = value;
  }
}

import { foldCase, type Sql } from '../../../db/sql.ts';

/** The rates of the counts: `free` permits immediately, then one after 1, 2, 4 ... `maxWait` seconds. */
const paces = {
  address: { free: 5, maxWait: 900 },
  strangers: { free: 30, maxWait: 60 },
} as const;

/** The address under which all unknown addresses are counted together. */
const strangers = '*';

/**
 * The account of an attempt: a login as it was typed, in any case; the current username of the user with this id; or the
 * signed-in user with this id.
 */
export type GuessedAccount =
  | { readonly login: string }
  | { readonly usernameOf: number }
  | { readonly userId: number };

/** The row in which an attempt is counted, and the time. */
interface Counted {
  readonly account: GuessedAccount;
  readonly address: string;
  /** Undefined for the clock of the database. */
  readonly now: Date | undefined;
}

/** Reason and duration of a missing permit. */
export interface ThrottledAttempt {
  readonly count: keyof typeof paces;
  readonly waitSeconds: number;
  /** The beginning of the account's hash, which distinguishes accounts in the log without naming them. */
  readonly accountHash: string;
}

/**
 * Takes the permits that an attempt needs, or returns which one is missing; then the caller rolls back. Rows are locked in
 * the order address, strangers, so that attempts cannot deadlock.
 */
export async function takePermit(tx: Sql, counted: Counted): Promise<ThrottledAttempt | undefined> {
  const own = await count(tx, counted, 'address');
  if (own === undefined) return throttled(tx, counted, 'address');
  if (own.known) return undefined;
  const shared = { ...counted, address: strangers };
  return (await count(tx, shared, 'strangers')) === undefined
    ? throttled(tx, shared, 'strangers')
    : undefined;
}

/**
 * Counts one attempt if it is due; otherwise returns undefined. A due time beyond the maximum wait was set by a clock that
 * was ahead, and is ignored. In both cases the row is locked until the transaction ends.
 */
async function count(tx: Sql, { account, address, now }: Counted, pace: keyof typeof paces) {
  const { free, maxWait } = paces[pace];
  const at = clock(tx, now);
  const [row] = await tx<{ known: boolean }[]>`
    insert into login_attempts as counted (account, address, attempts, quiet_at)
    values (${hash(tx, account)}, ${address}, 1, ${at} + interval '24 hours')
    on conflict (account, address) do update
    set (attempts, next_at, quiet_at) = (
      select
        nth,
        case
          when nth < ${free} then counted.next_at
          else ${at} + make_interval(secs => least(${maxWait}, power(2, least(nth - ${free}, 30))))
        end,
        excluded.quiet_at
      from (select case when counted.quiet_at <= ${at} then 1 else counted.attempts + 1 end) as next (nth)
    )
    where counted.next_at <= ${at} or counted.next_at > ${at} + make_interval(secs => ${maxWait})
    returning coalesce(known_until > ${at}, false) as known`;
  return row;
}

/** Returns the permits of `takePermit` for an attempt that compared nothing. Locks in the same order; the caller commits. */
export async function returnPermit(tx: Sql, counted: Counted): Promise<void> {
  const own = await uncount(tx, counted);
  if (own?.known === false) await uncount(tx, { ...counted, address: strangers });
}

/** Resets the due time as well: when this attempt was admitted, the wait after the previous ones was over. */
async function uncount(tx: Sql, { account, address, now }: Counted) {
  const [row] = await tx<{ known: boolean }[]>`
    update login_attempts set attempts = greatest(attempts - 1, 0), next_at = default
    where account = ${hash(tx, account)} and address = ${address}
    returning coalesce(known_until > ${clock(tx, now)}, false) as known`;
  return row;
}

async function throttled(
  tx: Sql,
  { account, address, now }: Counted,
  count: ThrottledAttempt['count'],
): Promise<ThrottledAttempt> {
  const [row] = await tx<{ wait: number; hash: string }[]>`
    select
      extract(epoch from next_at - ${clock(tx, now)})::float8 as wait,
      left(encode(account, 'hex'), 12) as hash
    from login_attempts
    where account = ${hash(tx, account)} and address = ${address}`;
  return { count, waitSeconds: row?.wait ?? 0, accountHash: row?.hash ?? '' };
}

/**
 * Clears the count of the address, makes the address known, and returns its permit of the strangers' count. The row of the
 * address is locked first, as for a permit, because the update depends on the insert.
 */
export async function rememberSuccess(sql: Sql, { account, address, now }: Counted): Promise<void> {
  const at = clock(sql, now);
  await sql`
    with stranger as (
      select account from login_attempts
      where account = ${hash(sql, account)} and address = ${address}
        and attempts > 0 and quiet_at > ${at} and coalesce(known_until <= ${at}, true)
    ), own as (
      insert into login_attempts (account, address, attempts, quiet_at, known_until)
      values (${hash(sql, account)}, ${address}, 0, ${at}, ${at} + interval '30 days')
      on conflict (account, address) do update
      set attempts = 0, next_at = default, quiet_at = excluded.quiet_at, known_until = excluded.known_until
      returning account
    )
    update login_attempts
    set attempts = greatest(attempts - 1, 0)
    from stranger join own using (account)
    where login_attempts.account = stranger.account and address = ${strangers}`;
}

/** Deletes at most `limit` expired rows. Returns the number of deleted rows. */
export async function deleteOldAttempts(sql: Sql, limit: number): Promise<number> {
  const { count } = await sql`
    delete from login_attempts
    where (account, address) in (
      select account, address from login_attempts
      where greatest(quiet_at, known_until) < now()
      order by greatest(quiet_at, known_until)
      limit ${limit}
      for update skip locked
    )`;
  return count;
}

/**
 * A login is lower-cased by the function that also looks up the user, so that all spellings share one count. The prefix
 * keeps logins apart from ids, whatever was typed.
 */
function hash(sql: Sql, account: GuessedAccount) {
  if ('login' in account) return sql`sha256(convert_to('login:' || ${foldCase(sql, account.login)}, 'UTF8'))`;
  const text = 'userId' in account ? `user:${account.userId}` : `username:${account.usernameOf}`;
  return sql`sha256(convert_to(${text}, 'UTF8'))`;
}

function clock(sql: Sql, now: Date | undefined) {
  return sql`coalesce(${now ?? null}::timestamptz, now())`;
}

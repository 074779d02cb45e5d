-- The permits of the rate limit, for SECURITY_RATE_LIMIT_STORE=postgres (src/limits/shared/postgres-backend.ts). One row per
-- client and limit has the times of its permits, oldest first. The table is unlogged: writing it costs no WAL, and after a
-- crash of the server it is empty, which is the right price for counts of at most an hour.

-- migrate: up
create unlogged table rate_limit_permits (
  key text primary key,
  times bigint[] not null,
  expires_at timestamptz not null
) with (fillfactor = 50);

-- Takes a permit for each key, in order. A key whose `continues` is 1 belongs to the ask of the key before it, and is
-- skipped once that ask is rejected. `quotas` and `windows` have the policies of all keys, key after key, and
-- `policy_counts` how many each key has. `clock` is the time in milliseconds; null is the clock of the server. Returns four
-- numbers per key: 1 if allowed, 0 if rejected, -1 if skipped; the index of the policy; the permits left; the milliseconds
-- until one more is free.
create function take_rate_limit_permits(
  keys text[],
  continues integer[],
  policy_counts integer[],
  quotas integer[],
  windows bigint[],
  clock bigint
) returns bigint[]
language plpgsql
as $function$
declare
  reply bigint[] := '{}';
  rejected boolean := false;
  first_policy integer := 1;
  now_ms bigint;
  log bigint[];
  size integer;
  used integer;
  longest bigint;
  nearest integer;
  nearest_left bigint;
  nearest_wait bigint;
  is_full boolean;
begin
  -- All locks before the first decision, and in one order, so that two calls cannot wait for each other.
  perform pg_advisory_xact_lock(ordered.lock)
  from (
    select distinct hashtextextended('rate_limit_permits:' || key, 0) as lock from unnest(keys) as key order by 1
  ) as ordered;
  now_ms := coalesce(clock, floor(extract(epoch from clock_timestamp()) * 1000)::bigint);

  for at in 1 .. cardinality(keys) loop
    rejected := rejected and continues[at] = 1;
    if rejected then
      reply := reply || array[-1, 0, 0, 0]::bigint[];
    else
      log := coalesce((select times from rate_limit_permits where key = keys[at]), '{}');
      size := cardinality(log);
      longest := 0;
      is_full := false;
      nearest := null;
      for policy in first_policy .. first_policy + policy_counts[at] - 1 loop
        -- How many times are after the start of the window, by binary search.
        used := case when size = 0 then 0 else size - width_bucket(now_ms - windows[policy], log) end;
        longest := greatest(longest, windows[policy]);
        if used >= quotas[policy] then
          if not is_full or log[size - used + 1] + windows[policy] - now_ms > nearest_wait then
            nearest := policy;
            nearest_wait := log[size - used + 1] + windows[policy] - now_ms;
          end if;
          is_full := true;
        elsif not is_full and (nearest is null or quotas[policy] - used - 1 < nearest_left) then
          nearest := policy;
          nearest_left := quotas[policy] - used - 1;
          nearest_wait := coalesce(log[size - used + 1], now_ms) + windows[policy] - now_ms;
        end if;
      end loop;

      if is_full then
        rejected := true;
        reply := reply || array[0, nearest - first_policy, 0, nearest_wait]::bigint[];
      else
        used := case when size = 0 then 0 else size - width_bucket(now_ms - longest, log) end;
        insert into rate_limit_permits as stored (key, times, expires_at)
        values (keys[at], log[size - used + 1:] || now_ms, clock_timestamp() + longest * interval '1 millisecond')
        on conflict (key) do update set times = excluded.times, expires_at = excluded.expires_at;
        reply := reply || array[1, nearest - first_policy, nearest_left, nearest_wait]::bigint[];
      end if;
    end if;
    first_policy := first_policy + policy_counts[at];
  end loop;
  return reply;
end
$function$;

-- migrate: down
drop function take_rate_limit_permits(text[], integer[], integer[], integer[], bigint[], bigint);
drop table rate_limit_permits;

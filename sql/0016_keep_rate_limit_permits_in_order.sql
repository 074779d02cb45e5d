-- The times of a row must be in order, because they are searched binarily. After the clock of the server is set back, a permit
-- gets the time of the one before it: its window ends late, and no window has more permits than its quota.

-- migrate: up
create or replace function take_rate_limit_permits(
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
        values (keys[at], log[size - used + 1:] || greatest(now_ms, log[size]), clock_timestamp() + longest * interval '1 millisecond')
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
create or replace function take_rate_limit_permits(
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

-- Usernames and e-mail addresses are compared in the collation "C", whatever collation the database was created with.
-- In a Turkish one, lower('ALI') is not 'ali', so both could register, and the unique index over lower(...) did not
-- prevent it. Existing rows that are equal now stop this migration: a person must decide which of them keeps the name.

-- migrate: up
do $$
declare
  same record;
begin
  select lower(username collate "C") as name, string_agg(id::text, ', ' order by id) as ids into same
  from users group by 1 having count(*) > 1 limit 1;
  if found then
    raise exception 'the users with the ids % have the same username "%" but for the case of its letters: rename all but one of them', same.ids, same.name;
  end if;
  select string_agg(id::text, ', ' order by id) as ids into same
  from users group by lower(email collate "C") having count(*) > 1 limit 1;
  if found then
    raise exception 'the users with the ids % have the same e-mail address but for the case of its letters: change all but one of them', same.ids;
  end if;
end
$$;

-- The indexes over lower(...) are built again by this.
alter table users
  alter column username type text collate "C",
  alter column email type text collate "C";

alter table one_time_tokens alter column email type text collate "C";

-- migrate: down
alter table one_time_tokens alter column email type text collate "default";

alter table users
  alter column username type text collate "default",
  alter column email type text collate "default";

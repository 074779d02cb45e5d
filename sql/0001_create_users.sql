-- The user accounts. Usernames and addresses are unique regardless of case: a unique index over lower(...) guarantees
-- that under any number of concurrent registrations, and its name shows the program which of the two is taken.
-- `version` counts changes and is the validator of conditional requests.

-- migrate: up
create table users (
  id bigint generated always as identity primary key,
  username text not null,
  email text not null,
  password_hash text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint users_username_form check (username ~ '^[a-zA-Z0-9_]{3,50}$'),
  constraint users_email_length check (length(email) between 3 and 254),
  constraint users_version_positive check (version > 0)
);

create unique index users_username_key on users (lower(username));

create unique index users_email_key on users (lower(email));

-- migrate: down
drop table users;

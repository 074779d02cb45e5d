-- API keys: credentials that a user creates for programs. Only the SHA-256 of a key is stored, and the key is found by
-- it; the prefix helps people to recognise their keys. Every key expires. A key is revoked by deleting its row, and is
-- deleted with its user.

-- migrate: up
create table api_keys (
  id bigint generated always as identity primary key,
  user_id bigint not null references users (id) on delete cascade,
  name text not null,
  prefix text not null,
  hash bytea not null,
  scopes text[] not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  last_used_at timestamptz,
  constraint api_keys_hash_key unique (hash),
  constraint api_keys_hash_is_sha256 check (length(hash) = 32),
  constraint api_keys_name_length check (length(name) between 1 and 100),
  constraint api_keys_prefix_form check (prefix ~ '^sak_[0-9A-Za-z]{4}$'),
  constraint api_keys_scopes_some check (cardinality(scopes) > 0),
  constraint api_keys_ends_later check (expires_at > created_at)
);

create index api_keys_user_id_key on api_keys (user_id, id desc);

-- migrate: down
drop table api_keys;

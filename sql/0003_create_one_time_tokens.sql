-- Tokens that are mailed to a user and can be used once: to set a new password, or to confirm an address. Only their
-- hash is stored. A token belongs to the address it was sent to, and is invalid once the user has another address. A
-- token that was used or superseded, or whose user was deleted, stays until its expiry, because these rows count the
-- mails to an address.

-- migrate: up
create table one_time_tokens (
  token_hash bytea primary key,
  user_id bigint references users (id) on delete set null,
  purpose text not null,
  email text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz,
  constraint one_time_tokens_hash_length check (length(token_hash) = 32),
  constraint one_time_tokens_purpose_known check (purpose in ('password_reset', 'email_verification')),
  constraint one_time_tokens_expires_later check (expires_at > created_at)
);

create index one_time_tokens_user_id_key on one_time_tokens (user_id, purpose);

create index one_time_tokens_email_key on one_time_tokens (lower(email), purpose, created_at);

create index one_time_tokens_expires_at_key on one_time_tokens (expires_at);

-- migrate: down
drop table one_time_tokens;

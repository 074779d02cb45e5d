-- Login sessions: who logged in, from where, and how the session ended. A row is a session from its login to its end.
-- Its refresh tokens are stored only as hashes: the current one and the previous one. Next to the previous one, the
-- current token is stored encrypted with a key that only the holder of the previous token has
-- (src/auth/refresh-token.ts). A session is live until `ended_at` is set or until `expires_at`, which each refresh
-- extends, at most to `ends_at`. The first index serves the sessions of one user, and their deletion with the user; the
-- second finds rows that ended long ago.

-- migrate: up
alter table users
  add column role text not null default 'user',
  add column email_verified_at timestamptz,
  add constraint users_role_known check (role in ('user', 'admin'));

create table sessions (
  id uuid primary key,
  user_id bigint not null references users (id) on delete cascade,
  transport text not null,
  address text not null,
  user_agent text not null,
  current_hash bytea not null,
  previous_hash bytea,
  sealed_successor bytea,
  created_at timestamptz not null,
  rotated_at timestamptz not null,
  expires_at timestamptz not null,
  ends_at timestamptz not null,
  ended_at timestamptz,
  end_reason text,
  constraint sessions_transport_known check (transport in ('body', 'cookie')),
  constraint sessions_address_length check (length(address) <= 64),
  constraint sessions_user_agent_length check (length(user_agent) <= 256),
  constraint sessions_hash_size check (
    octet_length(current_hash) = 32 and (previous_hash is null or octet_length(previous_hash) = 32)
  ),
  constraint sessions_previous_has_successor check ((previous_hash is null) = (sealed_successor is null)),
  constraint sessions_expire_before_end check (expires_at <= ends_at),
  constraint sessions_end_has_reason check ((ended_at is null) = (end_reason is null)),
  constraint sessions_end_reason_known check (
    end_reason in (
      'logout', 'logout_all', 'revoked', 'refresh_reused', 'password_changed', 'password_reset', 'too_many', 'operator'
    )
  )
);

create index sessions_user_id_key on sessions (user_id, created_at desc);

create index sessions_over_at_key on sessions (coalesce(ended_at, expires_at));

-- migrate: down
drop table sessions;

alter table users
  drop column role,
  drop column email_verified_at;

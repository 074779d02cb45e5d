-- Requests with an Idempotency-Key and their responses, so that a repeated request is not executed again. Only digests
-- of the key and of the request are stored. A running row expires with its lease, a finished one after its response was
-- kept long enough; an expired row counts as missing.

-- migrate: up
create table idempotency_keys (
  scope text not null,
  key bytea not null,
  fingerprint bytea not null,
  attempt uuid not null,
  state text not null,
  status smallint,
  headers jsonb,
  body text,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  primary key (scope, key),
  constraint idempotency_keys_scope_form check (scope ~ '^(anonymous|user:[1-9][0-9]*)$'),
  constraint idempotency_keys_key_is_sha256 check (length(key) = 32),
  constraint idempotency_keys_fingerprint_is_sha256 check (length(fingerprint) = 32),
  constraint idempotency_keys_state check (
    (state = 'running' and status is null and headers is null and body is null)
    or (state = 'done' and status between 200 and 399 and headers is not null)
  )
);

create index idempotency_keys_expires_at_key on idempotency_keys (expires_at);

-- migrate: down
drop table idempotency_keys;

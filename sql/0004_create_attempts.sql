-- Failed password attempts, counted so that the next one has to wait. A row is one account from one client address, or,
-- with the address '*', one account from all addresses that have never logged in to it. The account is the SHA-256 of
-- `login:` and the typed login in lower case, so that a nonexistent name is counted like any other; of `username:` and
-- the id of its user; or of `user:` and the id of the logged-in user. A row is useless once its count has expired and
-- its address is no longer known; the index finds such rows for the pruner.

-- migrate: up
create table login_attempts (
  account bytea not null,
  address text not null,
  -- Attempts that were let through and have not been followed by a success or by a day of quiet.
  attempts integer not null,
  -- Before this time the next attempt is refused.
  next_at timestamptz not null default '-infinity',
  -- From this time on the count starts anew.
  quiet_at timestamptz not null,
  -- Until this time the account has signed in from this address lately.
  known_until timestamptz,
  primary key (account, address),
  constraint login_attempts_account_length check (length(account) = 32),
  constraint login_attempts_address_length check (length(address) between 1 and 64),
  constraint login_attempts_not_negative check (attempts >= 0),
  constraint login_attempts_known_address check (address <> '*' or known_until is null)
);

create index login_attempts_forget_key on login_attempts (greatest(quiet_at, known_until));

-- migrate: down
drop table login_attempts;

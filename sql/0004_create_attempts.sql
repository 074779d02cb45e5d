-- Guesses at passwords, counted so that the next one has to wait. A row is one account from one address, or, with the
-- address '*', one account from all addresses that it has never signed in from. The account is the SHA-256 of `login:`
-- and what was typed as the login, in lower case, so a name that nobody has is counted like any other; of `username:` and
-- the id of the user who has it; or of `user:` and the id of who is signed in. A row whose count is quiet and whose address is no longer known says nothing; the index
-- finds it for the housekeeping.

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

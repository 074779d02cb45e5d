-- The times at which an operator retried a job. The errors do not show them, and `run_at` changes with every attempt
-- that is released or retried, so the history of a job would be incomplete. ISO 8601 in UTC, as in the errors; the last
-- 20.

-- migrate: up
alter table jobs add column retries jsonb not null default '[]';

-- migrate: down
alter table jobs drop column retries;

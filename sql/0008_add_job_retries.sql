-- When a job was made available again by hand. Its faults say nothing of it, and `run_at` moves with every attempt that is
-- released or tried again, so without this its history could not be told. ISO 8601 in UTC, as in the faults; the last 20.

-- migrate: up
alter table jobs add column retries jsonb not null default '[]';

-- migrate: down
alter table jobs drop column retries;

-- Jobs: work that outlives the request that asked for it. Every change of state is one statement on one row, and the
-- constraints reject a row with contradictory columns; src/jobs/job.ts draws the states. A running row names the runner
-- whose session holds the advisory lock (classid below); a lock that no session holds marks its jobs as lost. `attempt`
-- counts the claims and acts as a fencing token: a process with an older attempt cannot change the row.
--
-- A queue is a table whose rows change all the time. Free space in each page lets progress be written without touching
-- an index, and vacuum runs after a few thousand dead rows instead of a fifth of the table. The check on the size of
-- the payload must not read the payload, because all checks run at every change: `pg_column_size` does not. A text of 1
-- MB, the limit of the queue, may be six times as large as jsonb, for example a list of short numbers.

-- migrate: up
create table job_runners (
  id integer primary key,
  host text not null,
  pid integer not null,
  version text not null,
  threads smallint not null,
  started_at timestamptz not null default now()
);

create sequence job_runner_ids as integer cycle;

create table job_queues (
  name text primary key,
  paused_at timestamptz,
  constraint job_queues_name_form check (name ~ '^[a-z][a-z0-9_]{0,49}$')
);

create table job_schedules (
  name text primary key,
  cron text not null,
  time_zone text not null,
  last_tick timestamptz not null
);

create table jobs (
  id bigint generated always as identity primary key,
  name text not null,
  queue text not null,
  state text not null,
  priority smallint not null,
  payload jsonb not null,
  unique_key text,
  user_id bigint references users (id) on delete set null,
  request_id text,
  attempt integer not null default 0,
  max_attempts integer not null,
  timeout_ms integer not null,
  run_at timestamptz not null default now(),
  runner integer,
  cancel_requested boolean not null default false,
  progress real not null default 0,
  progress_message text,
  result jsonb,
  errors jsonb not null default '[]',
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  constraint jobs_state check (
    (state in ('available', 'scheduled') and runner is null and finished_at is null and not cancel_requested)
    or (state = 'running' and runner is not null and started_at is not null and finished_at is null)
    or (state in ('completed', 'failed', 'cancelled') and runner is null and finished_at is not null and not cancel_requested)
  ),
  constraint jobs_result_of_completed check (result is null or state = 'completed'),
  constraint jobs_failed_has_error check (state <> 'failed' or errors <> '[]'),
  constraint jobs_attempt check (attempt between 0 and max_attempts and (attempt > 0 or state <> 'running')),
  constraint jobs_priority check (priority between 0 and 1000),
  constraint jobs_timeout check (timeout_ms > 0),
  constraint jobs_progress check (progress between 0 and 1),
  constraint jobs_payload_size check (pg_column_size(payload) <= 8388608)
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

create index jobs_available_key on jobs (queue, priority, id) where state = 'available';
create index jobs_scheduled_key on jobs (run_at) where state = 'scheduled';
create index jobs_running_key on jobs (runner, id) where state = 'running';
create index jobs_finished_key on jobs (state, finished_at) where finished_at is not null;
create index jobs_user_key on jobs (user_id) where user_id is not null;
create unique index jobs_unique_key on jobs (name, unique_key)
  where unique_key is not null and state in ('available', 'scheduled', 'running');

-- migrate: down
drop table jobs;
drop table job_schedules;
drop table job_queues;
drop sequence job_runner_ids;
drop table job_runners;

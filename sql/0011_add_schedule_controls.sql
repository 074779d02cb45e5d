-- Operators see when a schedule last ran, pause it, and run it now. A paused schedule enqueues nothing, in any process,
-- until it is resumed. `run_requested_at` asks the schedulers for a job outside of the ticks: they know the task and its payload,
-- and the process of the dashboard runs no code of features. `last_tick` of a new schedule is the time of its declaration,
-- so `last_run_at` and `last_job` show when a job was enqueued, and which. The job may be pruned, hence no foreign key.

-- migrate: up
alter table job_schedules
  add column paused_at timestamptz,
  add column run_requested_at timestamptz,
  add column last_run_at timestamptz,
  add column last_job bigint,
  add constraint job_schedules_paused check (paused_at is null or run_requested_at is null);

-- migrate: down
alter table job_schedules
  drop constraint job_schedules_paused,
  drop column last_job,
  drop column last_run_at,
  drop column run_requested_at,
  drop column paused_at;

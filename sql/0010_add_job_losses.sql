-- How many attempts of a job were lost with their runner. A lost attempt proves little about its job: any job of that
-- process, or an operator, may have ended it. It does not count as an attempt. A job with losses is a suspect: from
-- then on it runs alone in a process of its own, where a crash identifies it and harms no other job. A job that loses
-- its runner repeatedly although it runs alone ends as `failed` (src/jobs/runner/runner-store.ts). Few suspects wait at
-- a time; the partial index finds them however many other jobs wait.

-- migrate: up
alter table jobs
  add column losses smallint not null default 0,
  add constraint jobs_losses check (losses >= 0);
create index jobs_suspect_key on jobs (queue, priority, id) where state = 'available' and losses > 0;

-- migrate: down
drop index jobs_suspect_key;
alter table jobs drop constraint jobs_losses, drop column losses;

-- How many attempts of a job were lost with their runner. Such an attempt says little about the job: any of those that
-- ran in the process may have crashed it, or an operator has. It does not count, and a job with losses is a suspect: it
-- runs alone from then on, in a process of its own, where a crash proves it guilty and harms no other. A job that loses
-- its runner again and again although it runs alone ends `failed` (src/jobs/runner/runner-store.ts). Suspects that wait are few;
-- the partial index finds them however many other jobs wait.

-- migrate: up
alter table jobs
  add column losses smallint not null default 0,
  add constraint jobs_losses check (losses >= 0);
create index jobs_suspect_key on jobs (queue, priority, id) where state = 'available' and losses > 0;

-- migrate: down
drop index jobs_suspect_key;
alter table jobs drop constraint jobs_losses, drop column losses;

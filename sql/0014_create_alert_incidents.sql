-- Alerts over all nodes (src/alerts/incident-store.ts). One row per rule is its open incident: the node whose transaction inserts
-- the row reports the alert, and the one that deletes it reports the resolution, so there is one of each.
--
-- A row of `alert_counts` is what one node measured in its window. It is unlogged: it is written every few seconds, and after
-- a crash of the server the nodes write it again.

-- migrate: up
create table alert_incidents (
  rule text primary key,
  id uuid not null,
  raised_at timestamptz not null,
  below_since timestamptz,
  peak double precision not null,
  constraint alert_incidents_rule_form check (rule ~ '^[a-z][a-z0-9_]{0,49}$'),
  constraint alert_incidents_times check (below_since is null or below_since >= raised_at)
);

create unlogged table alert_counts (
  node uuid primary key,
  counts jsonb not null,
  expires_at timestamptz not null
) with (fillfactor = 50);

-- migrate: down
drop table alert_counts;
drop table alert_incidents;

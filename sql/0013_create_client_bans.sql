-- The bans of all nodes, for SECURITY_RATE_LIMIT_STORE=postgres (src/bans/shared/postgres-ban-store.ts). One row per client has
-- its last change: a ban, or `lifted`. Nodes read the changes after the last version that they have seen. The rows stay until
-- the ban no longer makes the next one longer.

-- migrate: up
create sequence client_bans_versions;

create table client_bans (
  client text primary key,
  reason text not null check (reason in ('rate_limit', 'authentication', 'manual', 'lifted')),
  nth integer not null,
  note text not null,
  started_at timestamptz not null,
  ends_at timestamptz not null,
  keep_until timestamptz not null,
  version bigint not null
);

create index client_bans_version on client_bans (version);

create index client_bans_keep_until on client_bans (keep_until);

-- migrate: down
drop table client_bans;
drop sequence client_bans_versions;

-- Posts of users. A post is deleted with its author. The index serves the list of one author's posts by cursor; the
-- primary key serves the list of all posts.

-- migrate: up
create table posts (
  id bigint generated always as identity primary key,
  author_id bigint not null references users (id) on delete cascade,
  title text not null,
  body text not null,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint posts_title_length check (length(title) between 1 and 200),
  constraint posts_body_length check (length(body) between 1 and 20000),
  constraint posts_version_positive check (version > 0)
);

create index posts_author_id_key on posts (author_id, id desc);

-- migrate: down
drop table posts;

-- The truth of edge-ipam. Every invariant that a table can state is stated here; test/store/catalogue.test.ts
-- reads the catalogue back, so that no later migration can weaken one unnoticed.

create type pool_state as enum ('active', 'draining', 'disabled');
create type allocation_state as enum ('allocated', 'registered', 'quarantined');
create type token_role as enum ('admin', 'join', 'cloudcore', 'northbound', 'auditor');
create type audit_action as enum (
  'pool.created', 'pool.updated', 'pool.deleted',
  'reservation.created', 'reservation.deleted',
  'networks.replaced',
  'allocation.created', 'allocation.registered', 'allocation.released', 'allocation.freed',
  'node.updated', 'node.reregistered', 'node.deleted',
  'token.created', 'token.deleted'
);
create type address_range as range (subtype = inet);

-- Names sort by bytes (collation "C"): the order of a page must not depend on the server's locale.
create table pools (
  id integer generated always as identity primary key,
  name text collate "C" not null constraint pools_name_key unique,
  cidr cidr not null,
  state pool_state not null default 'active',
  priority integer not null default 100,
  node_selector jsonb,
  quarantine_seconds integer not null default 3600
    constraint pools_quarantine_seconds_range check (quarantine_seconds between 0 and 31536000),
  description text,
  -- Rows in allocations for this pool, whatever their state. Kept by the functions of 0002 under this row's lock,
  -- so that utilisation costs nothing that grows with the pool.
  held bigint not null default 0 constraint pools_held_not_negative check (held >= 0),
  -- The address handed out last. The next one comes from after it, round and round, so that an address rests as long
  -- as the pool allows before somebody else gets it.
  cursor_address inet,
  revision integer not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint pools_do_not_overlap exclude using gist (cidr inet_ops with &&)
) with (fillfactor = 50);

create table reservations (
  id bigint generated always as identity primary key,
  pool_id integer not null references pools (id) on delete cascade,
  first_address inet not null,
  last_address inet not null,
  reason text not null,
  created_at timestamptz not null default clock_timestamp(),
  constraint reservations_in_order check (first_address <= last_address),
  -- Pools do not overlap, so ranges of different pools cannot meet either: one constraint serves all pools.
  constraint reservations_do_not_overlap
    exclude using gist (address_range(first_address, last_address, '[]') with &&)
);
create index reservations_pool on reservations (pool_id, first_address);

-- What is free, as ranges: usable addresses of the pool, less the reservations, less every address that has a row in
-- allocations. A fresh pool is one row; there are never more rows than addresses held and reservations, and two. So a
-- free address stores nothing. The key is the *last* address: taking from the front of a range then changes no indexed
-- column, and PostgreSQL can update the row in place (HOT).
create table free_ranges (
  pool_id integer not null references pools (id) on delete cascade,
  first_address inet not null,
  last_address inet not null,
  constraint free_ranges_pkey primary key (pool_id, last_address),
  constraint free_ranges_in_order check (first_address <= last_address)
) with (fillfactor = 70);

create sequence allocation_sequence as bigint;

-- When a quarantine is over: the one expression, always by the database's clock.
create function quarantine_over(quarantined_until timestamptz, moment timestamptz) returns boolean
  language sql immutable parallel safe
  return quarantined_until <= moment;

-- One row for each address that is not free. The primary key says that an address has one holder; the partial unique
-- index says that a node holds one address.
create table allocations (
  allocated_at timestamptz not null,
  registered_at timestamptz,
  quarantined_until timestamptz,
  sequence bigint not null,
  -- No foreign key: checked row by row, it made an allocation three times as dear. Writers hold the pool's row lock,
  -- and a pool that still has rows here cannot be deleted (trigger below).
  pool_id integer not null,
  state allocation_state not null default 'allocated',
  address inet not null constraint allocations_pkey primary key,
  node_name text collate "C" not null,
  constraint allocations_address_is_a_host
    check (masklen(address) = case family(address) when 4 then 32 else 128 end),
  constraint allocations_quarantine_has_an_end check ((state = 'quarantined') = (quarantined_until is not null)),
  constraint allocations_registered_has_a_time check (state <> 'registered' or registered_at is not null)
);
create unique index allocations_one_per_node on allocations (node_name) where state <> 'quarantined';
create index allocations_quarantined on allocations (pool_id, quarantined_until) where state = 'quarantined';

-- What is known of a node, whether it holds an address or not. last_address is the one it holds or held last: the
-- one it gets back.
create table nodes (
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  revision integer not null default 1,
  name text collate "C" not null constraint nodes_pkey primary key,
  display_ip text,
  last_address inet,
  node_uid text,
  reported_ip text,
  labels jsonb
);
create index nodes_display_ip on nodes (display_ip) where display_ip is not null;

create table tokens (
  id text not null constraint tokens_pkey primary key,
  role token_role not null,
  digest bytea not null constraint tokens_digest_key unique,
  name_pattern text,
  -- Counted where there is a limit, and only there: a row that every allocation writes would be a queue.
  max_uses integer constraint tokens_max_uses_positive check (max_uses > 0),
  uses integer not null default 0,
  expires_at timestamptz,
  description text,
  created_at timestamptz not null default clock_timestamp(),
  last_used_at timestamptz,
  -- The token that the process's own setting made: at most one, so that another setting replaces it.
  bootstrap boolean not null default false,
  constraint tokens_pattern_only_for_join check (name_pattern is null or role = 'join'),
  constraint tokens_uses_only_for_join check (max_uses is null or role = 'join'),
  constraint tokens_uses_within_limit check (max_uses is null or uses <= max_uses)
);
create unique index tokens_one_bootstrap on tokens (bootstrap) where bootstrap;

create table audit (
  id bigint generated always as identity constraint audit_pkey primary key,
  at timestamptz not null,
  action audit_action not null,
  actor text not null,
  request_id text,
  node_name text collate "C",
  address inet,
  pool text,
  before jsonb,
  after jsonb
);
create index audit_node on audit (node_name, id) where node_name is not null;
create index audit_address on audit (address, id) where address is not null;

-- History is written once. Statement triggers, so that not even an UPDATE that meets no row passes.
create function audit_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'the audit trail is append-only: % is refused', tg_op using errcode = 'restrict_violation';
end $$;
create trigger audit_append_only before update or delete or truncate on audit
  for each statement execute function audit_is_append_only();

-- The legal moves of an allocation, for every writer there will ever be:
--   free -> allocated (insert)   allocated -> registered   allocated, registered -> quarantined
--   quarantined -> allocated (its last node)   quarantined -> free (delete)
-- A row never changes its address, its node or its pool, and nobody deletes what is in use.
create function allocation_moves_legally() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if new.state <> 'allocated' then
      raise exception 'an allocation begins as allocated, not as %', new.state using errcode = 'check_violation';
    end if;
    return new;
  end if;
  if tg_op = 'DELETE' then
    if old.state <> 'quarantined' or not quarantine_over(old.quarantined_until, clock_timestamp()) then
      raise exception 'address % is % and not free yet', old.address, old.state using errcode = 'check_violation';
    end if;
    return old;
  end if;
  if (new.address, new.node_name, new.pool_id) is distinct from (old.address, old.node_name, old.pool_id) then
    raise exception 'an allocation keeps its address, node and pool' using errcode = 'check_violation';
  end if;
  if new.state <> old.state and (old.state, new.state) not in (
    ('allocated', 'registered'), ('allocated', 'quarantined'), ('registered', 'quarantined'), ('quarantined', 'allocated')
  ) then
    raise exception 'no move leads from % to %', old.state, new.state using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger allocations_move_legally before update or delete on allocations
  for each row execute function allocation_moves_legally();
create trigger allocations_begin_allocated before insert on allocations
  for each row when (new.state <> 'allocated') execute function allocation_moves_legally();

create function pool_is_empty() returns trigger language plpgsql as $$
begin
  if exists (select from allocations where pool_id = old.id) then
    raise exception 'pool % still has addresses that are not free', old.name using errcode = 'foreign_key_violation';
  end if;
  return old;
end $$;
create trigger pools_deleted_empty before delete on pools for each row execute function pool_is_empty();

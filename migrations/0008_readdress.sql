-- Nodes whose edgecore is told its unique IP from the cloud, in runs. What a run has done so far stands here alone: whoever
-- goes on with it, after whatever ended the one before, reads where it is.
create type readdress_state as enum ('running', 'stopping', 'stopped', 'done', 'failed');
create type readdress_node_state as enum ('waiting', 'running', 'done', 'failed', 'skipped', 'stopped');

create table readdress_runs (
  -- Random, and so are the names of its jobs in the cluster: a database that was restored never meets jobs of another time.
  id text not null constraint readdress_runs_pkey primary key,
  number bigint generated always as identity constraint readdress_runs_number_key unique,
  state readdress_state not null default 'running',
  actor text not null,
  request_id text,
  at_once integer not null constraint readdress_runs_at_once_positive check (at_once > 0),
  stop_after_failures integer not null
    constraint readdress_runs_stop_after_failures_positive check (stop_after_failures > 0),
  timeout_seconds integer not null constraint readdress_runs_timeout_positive check (timeout_seconds > 0),
  settle_seconds integer not null constraint readdress_runs_settle_positive check (settle_seconds > 0),
  -- Who asked for its end; null of one that stops because too many nodes failed.
  stopped_by text,
  created_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  constraint readdress_runs_end_has_a_time check ((ended_at is not null) = (state in ('stopped', 'done', 'failed')))
);
create index readdress_runs_under_way on readdress_runs (number) where ended_at is null;

create table readdress_nodes (
  run_id text not null references readdress_runs (id) on delete cascade,
  -- Its turn.
  position integer not null,
  node_name text collate "C" not null,
  unique_ip inet not null,
  -- What the node reported before.
  reported_ip inet,
  state readdress_node_state not null default 'waiting',
  message text,
  started_at timestamptz,
  -- The job is in the cluster for certain; without it, it may be.
  job_made_at timestamptz,
  job_kept boolean not null default false,
  -- Since when every look at the node has met its unique IP.
  reported_since timestamptz,
  ended_at timestamptz,
  constraint readdress_nodes_pkey primary key (run_id, position)
) with (fillfactor = 70);
-- A node is in one run at a time.
create unique index readdress_nodes_one_at_a_time on readdress_nodes (node_name) where state in ('waiting', 'running');
create index readdress_nodes_by_state on readdress_nodes (run_id, state, position);
create index readdress_nodes_running on readdress_nodes (run_id, position) where state = 'running';
create index readdress_nodes_kept on readdress_nodes (node_name) where job_kept;

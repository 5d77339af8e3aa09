-- What does not fit together between the cluster and what is allocated, and what has to be remembered of the cluster
-- from one look at it to the next, whichever replica looks.

create type finding_kind as enum (
  'address_mismatch', 'unknown_node', 'node_gone', 'never_joined', 'duplicate_internal_ip', 'name_claimed_twice',
  'suspicious_address', 'network_overlap', 'stale_reference', 'hosts_too_large'
);

create table findings (
  id bigint generated always as identity constraint findings_pkey primary key,
  kind finding_kind not null,
  subject_kind text not null,
  -- Empty for what has none.
  subject_namespace text not null default '',
  subject_name text collate "C" not null,
  message text not null,
  since timestamptz not null default clock_timestamp(),
  -- Of one that is over: the last look at the cluster that still found it. One that is open was found by the last look
  -- of all, whose time is in cluster_look: else every look would write every row.
  last_seen timestamptz,
  resolved_at timestamptz,
  constraint findings_over_was_seen check ((resolved_at is null) = (last_seen is null))
);
create unique index findings_one_open on findings (kind, subject_kind, subject_namespace, subject_name)
  where resolved_at is null;
create index findings_open on findings (id) where resolved_at is null;
create index findings_over on findings (resolved_at) where resolved_at is not null;
create index findings_node on findings (subject_name, id) where subject_kind = 'Node';

-- One row for each Node that was seen in the cluster or ought to be there. Written when something of it changes.
create table sightings (
  name text collate "C" not null constraint sightings_pkey primary key,
  -- InternalIPs that it was seen with, the newest last.
  addresses text[] not null default '{}',
  -- [{machineId, systemUuid, bootId, at}]: the machines that reported under its name, one after the other.
  machines jsonb not null default '[]',
  -- Of one that is missing: the last look that still saw it, if one did; since when it is missing; in how many looks.
  last_seen timestamptz,
  absent_since timestamptz,
  absences integer not null default 0 constraint sightings_absences_not_negative check (absences >= 0),
  constraint sightings_absent_is_counted check ((absent_since is null) = (absences = 0))
);

-- When the cluster was last looked at, whole: the one row of this table.
create table cluster_look (
  one boolean not null default true constraint cluster_look_pkey primary key,
  at timestamptz not null,
  constraint cluster_look_is_one check (one)
);

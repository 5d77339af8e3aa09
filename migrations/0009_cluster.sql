-- Work that one replica does for all of them: whoever holds the lease. Times are the database's, so that no clock of a
-- replica matters; a row and no advisory lock, since a replica that hangs would keep that as long as its connection lasts.
create table leases (
  name text constraint leases_pkey primary key,
  holder uuid not null,
  until timestamptz not null
);

-- Networks that the cluster tells of, as it did last.
create table discovered_networks (
  kind text not null,
  cidr cidr not null,
  source text not null,
  constraint discovered_networks_pkey primary key (kind, cidr, source)
);

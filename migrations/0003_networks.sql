-- The cluster's own networks, which no pool may overlap.
create table networks (
  id integer generated always as identity primary key,
  kind text not null,
  cidr cidr not null,
  description text
);
create index networks_cidr on networks using gist (cidr inet_ops);

-- No exclusion constraint reaches across two tables, so a trigger stands in for one. The lock makes the two sides wait
-- for each other: what the later one reads is what the earlier one wrote. Both are rare.
create function pools_and_networks_keep_apart() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtext('edge-ipam networks'));
  if tg_table_name = 'pools' and exists (select from networks where cidr && new.cidr)
    or tg_table_name = 'networks' and exists (select from pools where cidr && new.cidr) then
    raise exception 'the CIDR % overlaps a pool or a network of the cluster', new.cidr using
      errcode = 'exclusion_violation', constraint = 'pools_and_networks_do_not_overlap';
  end if;
  return new;
end $$;
create trigger pools_keep_apart_from_networks before insert or update of cidr on pools
  for each row execute function pools_and_networks_keep_apart();
create trigger networks_keep_apart_from_pools before insert or update of cidr on networks
  for each row execute function pools_and_networks_keep_apart();

-- The allocation engine: one call of allocate_addresses() serves many callers in one transaction and one round trip.
--
-- Words: a *fresh* request comes from a node nobody knows and names no address; it can be served in bulk. Whatever
-- else (an address asked for, a node that comes back, a token whose uses are counted) goes one by one through
-- allocate_one().
--
-- Locks, always in this order: the rows of the pools concerned (by id), then nodes, then allocations. What is read
-- before the pools are locked may be out of date afterwards; where that matters it is read again, or a constraint
-- refuses and the service repeats the call.
--
-- PL/pgSQL keeps the plans it made while the tables were empty, and a plan from then would read whole tables for ever:
-- by a sequential scan, or as one side of a merge or hash join. What is looked up here is few rows by key, so the
-- functions allow nested loops over indexes alone (the last statements of this file).

-- A dry run is rolled back, but a sequence is not: it looks at the next number and does not take it.
create function next_allocation_sequence() returns bigint language plpgsql as $$
begin
  if current_setting('edge_ipam.dry_run', true) = 'on' then
    return (select last_value + case when is_called then 1 else 0 end from allocation_sequence);
  end if;
  return nextval('allocation_sequence');
end $$;

-- Gives [lowest, highest] back to the free ranges and joins it with its neighbours. The pool's cursor is a border:
-- ranges on its two sides stay apart, so that what follows the cursor is always what has rested longest.
create function put_free(in_pool integer, lowest inet, highest inet) returns void
language plpgsql as $$
declare
  border inet := (select cursor_address from pools where id = in_pool);
  neighbour free_ranges;
begin
  if border is distinct from lowest - 1 then
    delete from free_ranges where pool_id = in_pool and last_address = lowest - 1 returning * into neighbour;
    if found then
      lowest := neighbour.first_address;
    end if;
  end if;
  select * into neighbour from free_ranges
    where pool_id = in_pool and last_address > highest order by last_address limit 1;
  if found and neighbour.first_address = highest + 1 and border is distinct from highest then
    update free_ranges set first_address = lowest where pool_id = in_pool and last_address = neighbour.last_address;
  else
    insert into free_ranges (pool_id, first_address, last_address) values (in_pool, lowest, highest);
  end if;
end $$;

-- Takes [lowest, highest] out of the free ranges; false, and nothing changed, unless all of it is free.
create function take_free(in_pool integer, lowest inet, highest inet) returns boolean
language plpgsql as $$
declare
  span free_ranges;
begin
  select * into span from free_ranges
    where pool_id = in_pool and last_address >= highest order by last_address limit 1;
  if not found or span.first_address > lowest then
    return false;
  end if;
  if span.last_address > highest then
    update free_ranges set first_address = highest + 1 where pool_id = in_pool and last_address = span.last_address;
  else
    delete from free_ranges where pool_id = in_pool and last_address = span.last_address;
  end if;
  if span.first_address < lowest then
    insert into free_ranges (pool_id, first_address, last_address) values (in_pool, span.first_address, lowest - 1);
  end if;
  return true;
end $$;

create function is_reserved(in_pool integer, candidate inet) returns boolean
language sql stable
return exists (
  select from reservations where pool_id = in_pool and candidate between first_address and last_address
);

-- Turns up to `wanted` addresses of a pool whose quarantine is over into free ones, the longest over first, and says
-- which. They are not put into the free ranges: the caller hands them out or puts them there. With `reserved`, also
-- those that lie in a reservation. The caller holds the pool's lock.
create function end_quarantines(
  in_pool integer, wanted integer, moment timestamptz, reserved boolean, in_actor text, in_request text
) returns inet[]
language plpgsql as $$
declare
  freed inet[];
begin
  with over as (
    select address from allocations
    where pool_id = in_pool and state = 'quarantined' and quarantine_over(quarantined_until, moment)
      and (reserved or not is_reserved(in_pool, address))
    order by quarantined_until limit wanted for update
  ), gone as (
    delete from allocations a using over where a.address = over.address returning a.*
  ), written as (
    insert into audit (at, action, actor, request_id, node_name, address, pool, before)
    select moment, 'allocation.freed', in_actor, in_request, node_name, address,
      (select name from pools where id = in_pool),
      jsonb_build_object('state', 'quarantined', 'sequence', sequence, 'quarantinedUntil', quarantined_until)
    from gone
    returning address
  )
  select coalesce(array_agg(address), '{}') into freed from written;
  if cardinality(freed) > 0 then
    update pools set held = held - cardinality(freed) where id = in_pool;
  end if;
  return freed;
end $$;

-- The next `wanted` addresses of a pool (fewer, if there are no more): first what is free after the cursor, then what
-- is free before it, then what has left quarantine and was not swept yet. Its cost depends on `wanted` alone. The
-- caller holds the pool's lock and puts a row into allocations for each address.
create function take_next(in_pool integer, wanted integer, moment timestamptz) returns inet[]
language plpgsql as $$
declare
  border inet := (select cursor_address from pools where id = in_pool);
  taken inet[] := '{}';
  emptied inet[] := '{}';
  span free_ranges;
  missing integer := wanted;
begin
  for span in
    (select * from free_ranges where pool_id = in_pool and (border is null or last_address > border)
      order by last_address limit wanted)
    union all
    (select * from free_ranges where pool_id = in_pool and last_address <= border
      order by last_address limit wanted)
  loop
    exit when missing = 0;
    -- Never last - first: in an IPv6 pool that does not fit a bigint.
    if span.first_address + (missing - 1) < span.last_address then
      taken := taken || array(select span.first_address + i from generate_series(0, missing - 1) i);
      update free_ranges set first_address = span.first_address + missing
        where pool_id = in_pool and last_address = span.last_address;
    else
      taken := taken || array(
        select span.first_address + i from generate_series(0, span.last_address - span.first_address) i
      );
      emptied := emptied || span.last_address;
    end if;
    missing := wanted - cardinality(taken);
  end loop;
  if cardinality(emptied) > 0 then
    delete from free_ranges where pool_id = in_pool and last_address = any (emptied);
  end if;
  if cardinality(taken) > 0 then
    update pools set cursor_address = taken[cardinality(taken)] where id = in_pool;
  end if;
  if missing > 0 then
    taken := taken || end_quarantines(in_pool, missing, moment, false, 'system', null);
  end if;
  return taken;
end $$;

-- What a request may bring: `patch` holds what the caller said of the node (displayIp, nodeUid, labels); a key that
-- is absent leaves what is stored, a null clears it. `limited_token` names the caller's token where its uses are
-- counted: what is created uses one up.
create type allocation_request as (
  ord integer, node_name text, pool text, address inet, patch jsonb, actor text, request_id text, limited_token text
);

-- What was read before a lock was had is no longer so: nothing is kept, and the service does it all again.
create function changed_meanwhile() returns text language plpgsql as $$
begin
  raise exception 'it was changed meanwhile' using errcode = 'serialization_failure';
end $$;

-- Stores what the caller said of a known node and writes what changed into the audit trail. `holding` is the address
-- and sequence the node has: a node_uid that changes to another takes a new sequence (a second device under the name,
-- or the same one re-imaged: whoever remembers the old sequence no longer speaks of this one).
create function update_node(req allocation_request, moment timestamptz) returns void
language plpgsql as $$
declare
  old nodes;
  new nodes;
  holding allocations;
  in_pool text;
  new_sequence bigint;
begin
  select * into old from nodes where name = req.node_name for update;
  if not found then
    perform changed_meanwhile();
  end if;
  new := old;
  if req.patch ? 'displayIp' then new.display_ip := req.patch ->> 'displayIp'; end if;
  if req.patch ? 'nodeUid' then new.node_uid := req.patch ->> 'nodeUid'; end if;
  if req.patch ? 'labels' then new.labels := nullif(nullif(req.patch -> 'labels', 'null'), '{}'); end if;
  if new is not distinct from old then
    return;
  end if;
  update nodes set display_ip = new.display_ip, node_uid = new.node_uid, labels = new.labels,
    revision = revision + 1, updated_at = moment where name = req.node_name;
  select * into holding from allocations where node_name = req.node_name and state <> 'quarantined';
  in_pool := (select name from pools where id = holding.pool_id);
  if old.node_uid is not null and new.node_uid is distinct from old.node_uid and new.node_uid is not null then
    if holding.address is not null then
      new_sequence := next_allocation_sequence();
      update allocations set sequence = new_sequence where address = holding.address;
    end if;
    insert into audit (at, action, actor, request_id, node_name, address, pool, before, after)
    values (moment, 'node.reregistered', req.actor, req.request_id, req.node_name, holding.address, in_pool,
      jsonb_build_object('nodeUid', old.node_uid, 'sequence', holding.sequence),
      jsonb_build_object('nodeUid', new.node_uid, 'sequence', new_sequence));
    old.node_uid := new.node_uid;
  end if;
  if new is distinct from old then
    insert into audit (at, action, actor, request_id, node_name, address, pool, before, after)
    values (moment, 'node.updated', req.actor, req.request_id, req.node_name, holding.address, in_pool,
      jsonb_build_object('displayIp', old.display_ip, 'nodeUid', old.node_uid, 'labels', coalesce(old.labels, '{}')),
      jsonb_build_object('displayIp', new.display_ip, 'nodeUid', new.node_uid, 'labels', coalesce(new.labels, '{}')));
  end if;
end $$;

-- For a node that holds an address: the same again, unless it asks for another one. A token that is used up is good
-- only for the names that it allocated itself.
create function answer_holder(req allocation_request) returns text
language plpgsql as $$
begin
  if req.limited_token is not null
    and not exists (select from tokens where id = req.limited_token and uses < max_uses)
    and not exists (
      select from audit
      where node_name = req.node_name and action = 'allocation.created' and actor = req.actor
    )
  then
    return 'forbidden';
  end if;
  if exists (
    select from allocations a join pools p on p.id = a.pool_id
    where a.node_name = req.node_name and a.state <> 'quarantined'
      and (req.address is distinct from a.address and req.address is not null
        or req.pool is distinct from p.name and req.pool is not null)
  ) then
    return 'allocation_conflict';
  end if;
  if req.patch <> '{}' then
    perform update_node(req, clock_timestamp());
  end if;
  return 'existing';
end $$;

-- One request, every case of it. 'created', 'existing' or the code of a refusal. The caller has locked the pools of
-- `locked`; others, which have become active since, do not exist yet for this request.
--
-- Where the address comes from, in this order: the one asked for; the one the node had last, if nobody else holds it
-- and its pool is active and fits the request; the next one of the first pool that fits and is not full.
create function allocate_one(req allocation_request, locked integer[], moment timestamptz) returns text
language plpgsql as $$
declare
  node nodes;
  known boolean;
  back boolean;
  effective_labels jsonb;
  wish inet;
  pool pools;
  holder allocations;
  matched boolean := false;
  was jsonb;
begin
  if exists (select from allocations where node_name = req.node_name and state <> 'quarantined') then
    return answer_holder(req);
  end if;
  select * into node from nodes where name = req.node_name for update;
  known := found;
  if req.limited_token is not null then
    perform from tokens where id = req.limited_token and uses < max_uses for update;
    if not found then return 'forbidden'; end if;
  end if;
  effective_labels := coalesce(
    case when req.patch ? 'labels' then nullif(req.patch -> 'labels', 'null') else node.labels end, '{}');

  if req.pool is not null and not exists (select from pools where name = req.pool) then
    return 'pool_not_found';
  end if;

  -- The address asked for, or the last one.
  wish := coalesce(req.address, node.last_address);
  if wish is not null then
    select * into pool from pools where cidr >>= wish and id = any (locked);
    back := coalesce(node.last_address = wish, false);
    if req.address is not null then
      if req.pool is not null and not exists (select from pools where name = req.pool) then
        return 'pool_not_found';
      end if;
      if pool.id is null or pool.name <> req.pool then return 'address_not_in_pool'; end if;
      if pool.state <> 'active' then return 'pool_not_active'; end if;
    elsif pool.id is null or pool.state <> 'active' or pool.name <> req.pool
      or (req.pool is null and not coalesce(pool.node_selector <@ effective_labels, true)) then
      wish := null;
    end if;
  end if;
  if wish is not null then
    select * into holder from allocations where address = wish for update;
    if holder.address is null then
      if not take_free(pool.id, wish, wish) then
        if req.address is not null then return 'address_reserved'; end if;
        wish := null;
      end if;
    elsif is_reserved(pool.id, wish) then
      if req.address is not null then return 'address_reserved'; end if;
      wish := null;
    elsif holder.state <> 'quarantined' then
      if req.address is not null then return 'address_in_use'; end if;
      wish := null;
    elsif quarantine_over(holder.quarantined_until, moment) then
      insert into audit (at, action, actor, node_name, address, pool, before)
      values (moment, 'allocation.freed', 'system', holder.node_name, wish, pool.name, jsonb_build_object(
        'state', 'quarantined', 'sequence', holder.sequence, 'quarantinedUntil', holder.quarantined_until));
      delete from allocations where address = wish;
      update pools set held = held - 1 where id = pool.id;
    elsif holder.node_name = req.node_name and back then
      was := jsonb_build_object('state', 'quarantined', 'sequence', holder.sequence,
        'quarantinedUntil', holder.quarantined_until);
    else
      if req.address is not null then return 'address_quarantined'; end if;
      wish := null;
    end if;
  end if;

  -- Else the next one of the first pool that fits.
  if wish is null then
    for pool in select * from pools
      where id = any (locked) and case when req.pool is not null then name = req.pool
        else state = 'active' and coalesce(node_selector <@ effective_labels, true) end
      order by priority, name
    loop
      if pool.state <> 'active' then return 'pool_not_active'; end if;
      matched := true;
      wish := (take_next(pool.id, 1, moment))[1];
      exit when wish is not null;
    end loop;
    if not matched then return 'pool_not_found'; end if;
    if wish is null then return 'pool_exhausted'; end if;
  end if;

  if was is null then
    insert into allocations (address, pool_id, node_name, sequence, allocated_at)
    values (wish, pool.id, req.node_name, next_allocation_sequence(), moment);
    update pools set held = held + 1 where id = pool.id;
  else
    update allocations set state = 'allocated', quarantined_until = null, registered_at = null,
      allocated_at = moment, sequence = next_allocation_sequence() where address = wish;
  end if;
  if known then
    update nodes set last_address = wish where name = req.node_name;
    perform update_node(req, moment);
  else
    insert into nodes (name, display_ip, node_uid, labels, last_address, created_at, updated_at)
    values (req.node_name, req.patch ->> 'displayIp', req.patch ->> 'nodeUid',
      nullif(nullif(req.patch -> 'labels', 'null'), '{}'), wish, moment, moment);
  end if;
  insert into audit (at, action, actor, request_id, node_name, address, pool, before, after)
  select moment, 'allocation.created', req.actor, req.request_id, req.node_name, wish, pool.name, was,
    jsonb_strip_nulls(jsonb_build_object('sequence', a.sequence, 'displayIp', n.display_ip, 'nodeUid', n.node_uid))
  from nodes n join allocations a on a.address = n.last_address where n.name = req.node_name;
  update tokens set uses = uses + 1 where id = req.limited_token;
  return 'created';
end $$;

-- Serves the requests (a JSON array of allocation_request, ord from 1, each node name once) and answers each, by its
-- ord and in no order, with its code and, where the node holds an address now, what it holds.
create function allocate_addresses(requests jsonb)
returns table (
  ord integer, code text, node_name text, address inet, pool text, state allocation_state, sequence bigint,
  display_ip text, node_uid text, labels jsonb, allocated_at timestamptz, registered_at timestamptz
)
language plpgsql as $$
#variable_conflict use_column
declare
  reqs allocation_request[];
  req allocation_request;
  codes text[];
  fresh allocation_request[] := '{}';
  -- Who holds an address, or needs a closer look: in the order of names.
  single allocation_request[] := '{}';
  locked integer[] := '{}';
  wanted_pools text[];
  wanted_addresses inet[];
  any_pool boolean;
  moment timestamptz;
  one pools;
  fitting allocation_request[];
  others allocation_request[];
  got inet[];
  served allocation_request[] := '{}';
  addresses inet[] := '{}';
  sequences bigint[];
  pool_ids integer[] := '{}';
  i record;
begin
  select array_agg(r order by r.ord), array_fill(null::text, array[count(*)::integer]) into reqs, codes
  from jsonb_populate_recordset(null::allocation_request, requests) r;

  -- Who holds an address already, who is fresh, who needs a closer look.
  for i in
    select r.ord, a.address is not null as holds,
      n.name is null and r.address is null and r.limited_token is null as is_fresh
    from unnest(reqs) r
    left join nodes n on n.name = r.node_name
    left join allocations a on a.node_name = r.node_name and a.state <> 'quarantined'
    order by r.node_name
  loop
    if i.is_fresh and not i.holds then
      fresh := fresh || reqs[i.ord];
    else
      single := single || reqs[i.ord];
    end if;
    if i.holds then
      codes[i.ord] := 'existing';
    end if;
  end loop;

  if exists (select from unnest(codes) c where c is null) then
    -- Every pool that may be needed is locked now, in one order, so that two batches cannot wait for each other.
    select array_agg(distinct r.pool), array_agg(distinct r.address) filter (where r.address is not null),
      bool_or(r.pool is null and r.address is null)
    into wanted_pools, wanted_addresses, any_pool
    from unnest(fresh || single) r where codes[r.ord] is null;
    select coalesce(array_agg(p.id), '{}') into locked from (
      select id from pools p
      where p.name = any (wanted_pools) or (any_pool and p.state = 'active')
        or exists (select from unnest(wanted_addresses) w where p.cidr >>= w)
      order by p.id for update
    ) p;
  end if;
  moment := clock_timestamp();

  -- Rows of nodes are locked after the pools and in the order of their names, also those of nodes that have an address.
  foreach req in array single loop
    codes[req.ord] := case when codes[req.ord] = 'existing' then answer_holder(req)
      else allocate_one(req, locked, moment) end;
  end loop;

  if cardinality(fresh) > 0 then
    for one in
      select * from pools p
      where p.id = any (locked) and (p.name = any (wanted_pools) or (any_pool and p.state = 'active'))
      order by p.priority, p.name
    loop
      -- The fresh ones were gathered by name; they are served as they came.
      select coalesce(array_agg(f.req order by (f.req).ord) filter (where f.fits), '{}'),
        coalesce(array_agg(f.req) filter (where not f.fits), '{}')
      into fitting, others
      from (
        select r as req,
          case when r.pool is not null then r.pool = one.name
            else one.state = 'active' and coalesce(
              one.node_selector <@ coalesce(nullif(r.patch -> 'labels', 'null'), '{}'), true) end as fits
        from unnest(fresh) r
      ) f;
      continue when cardinality(fitting) = 0;
      got := '{}';
      if one.state = 'active' then
        got := take_next(one.id, cardinality(fitting), moment);
        update pools set held = held + cardinality(got) where id = one.id and cardinality(got) > 0;
        served := served || fitting[1:cardinality(got)];
        addresses := addresses || got;
        pool_ids := pool_ids || array_fill(one.id, array[cardinality(got)]);
        foreach req in array fitting[1:cardinality(got)] loop
          codes[req.ord] := null;
        end loop;
      end if;
      -- Who got nothing here may find something in the next pool; if not, this is what it is told.
      fitting := fitting[cardinality(got) + 1:];
      foreach req in array fitting loop
        codes[req.ord] := case when one.state = 'active' then 'pool_exhausted' else 'pool_not_active' end;
      end loop;
      fresh := others || fitting;
      exit when cardinality(fresh) = 0;
    end loop;
    foreach req in array fresh loop
      codes[req.ord] := coalesce(codes[req.ord], 'pool_not_found');
    end loop;
  end if;

  if cardinality(served) > 0 then
    select array_agg(next_allocation_sequence()) into sequences from unnest(served);
    -- In the order of names: two batches that meet on a name then wait in one direction only.
    with handed_out as materialized (
      select *
      from unnest(served, addresses, pool_ids, sequences)
        s (ord, node_name, asked_pool, asked_address, patch, actor, request_id, limited_token, given, from_pool, number)
      order by node_name
    ), new_nodes as (
      insert into nodes (name, display_ip, node_uid, labels, last_address, created_at, updated_at)
      select h.node_name, h.patch ->> 'displayIp', h.patch ->> 'nodeUid',
        nullif(nullif(h.patch -> 'labels', 'null'), '{}'), h.given, moment, moment
      from handed_out h
    ), new_allocations as (
      insert into allocations (address, pool_id, node_name, sequence, allocated_at)
      select h.given, h.from_pool, h.node_name, h.number, moment from handed_out h
    )
    insert into audit (at, action, actor, request_id, node_name, address, pool, after)
    select moment, 'allocation.created', h.actor, h.request_id, h.node_name, h.given, p.name,
      jsonb_strip_nulls(jsonb_build_object(
        'sequence', h.number, 'displayIp', h.patch ->> 'displayIp', 'nodeUid', h.patch ->> 'nodeUid'))
    from handed_out h join pools p on p.id = h.from_pool;

    return query
      select s.ord, 'created'::text, s.node_name, s.given, p.name, 'allocated'::allocation_state, s.number,
        s.patch ->> 'displayIp', s.patch ->> 'nodeUid', nullif(s.patch -> 'labels', 'null'),
        moment, null::timestamptz
      from unnest(served, addresses, pool_ids, sequences)
        s (ord, node_name, asked_pool, asked_address, patch, actor, request_id, limited_token, given, from_pool, number)
      join pools p on p.id = s.from_pool;
  end if;

  -- Who was not among those served at once is answered with what stands in the tables.
  return query
    select r.ord,
      -- A holder that has released its address since we looked has nothing to be answered with.
      case when codes[r.ord] = 'existing' and a.address is null then changed_meanwhile() else codes[r.ord] end,
      r.node_name, a.address, p.name, a.state, a.sequence, n.display_ip, n.node_uid, n.labels,
      a.allocated_at, a.registered_at
    from unnest(reqs) r
    left join allocations a on a.node_name = r.node_name and a.state <> 'quarantined'
    left join nodes n on n.name = r.node_name
    left join pools p on p.id = a.pool_id
    where codes[r.ord] is not null;
end $$;

-- Housekeeping: frees up to `wanted` addresses of a pool whose quarantine is over, and says how many. Skips a pool
-- that somebody is working on; `patient` waits for it instead.
create function sweep_pool(in_pool integer, wanted integer, in_actor text, in_request text, patient boolean)
returns integer
language plpgsql as $$
declare
  freed inet[];
  one inet;
begin
  if patient then
    perform from pools where id = in_pool for update;
  else
    perform from pools where id = in_pool for update skip locked;
  end if;
  if not found then
    return 0;
  end if;
  freed := end_quarantines(in_pool, wanted, clock_timestamp(), true, in_actor, in_request);
  foreach one in array freed loop
    if not is_reserved(in_pool, one) then
      perform put_free(in_pool, one, one);
    end if;
  end loop;
  return cardinality(freed);
end $$;

-- A reservation comes: what is free of [lowest, highest] is free no more. The caller holds the pool's lock.
create function withdraw_free(in_pool integer, lowest inet, highest inet) returns void
language plpgsql as $$
declare
  span free_ranges;
begin
  for span in
    select * from free_ranges
    where pool_id = in_pool and last_address >= lowest order by last_address
  loop
    exit when span.first_address > highest;
    perform take_free(in_pool, greatest(span.first_address, lowest), least(span.last_address, highest));
  end loop;
end $$;

-- A reservation goes: what nobody holds of [lowest, highest] is free again. The caller holds the pool's lock.
create function restore_free(in_pool integer, lowest inet, highest inet) returns void
language plpgsql as $$
declare
  one inet;
begin
  perform put_free(in_pool, lowest, highest);
  for one in select address from allocations where address between lowest and highest loop
    perform take_free(in_pool, one, one);
  end loop;
end $$;

do $$
declare
  one regprocedure;
  way text;
begin
  for one in
    select p.oid::regprocedure from pg_proc p join pg_language l on l.oid = p.prolang
    where p.pronamespace = current_schema::regnamespace and l.lanname = 'plpgsql' and p.prorettype <> 'trigger'::regtype
  loop
    foreach way in array array['seqscan', 'hashjoin', 'mergejoin', 'bitmapscan'] loop
      execute format('alter function %s set enable_%s = off', one, way);
    end loop;
  end loop;
end $$;

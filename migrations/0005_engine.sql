-- The allocation engine, as it is now: what 0002 says of words, locks and plans holds, and its other functions do, too.
-- One call of allocate_together() serves many callers in one transaction and one round trip. It takes the place of
-- allocate_addresses(), which stays for replicas of the release before, as does the take_next() that it calls.
--
-- What a batch costs is a fixed part (each statement is set up, however few rows it meets) and a part for each caller
-- (three rows, seven index entries). So the fresh requests of a batch pass through as few statements as can be, all
-- together: one that looks who is known, one that locks the pools, two for each pool that hands out, one that writes.

-- The next `wanted` addresses of a pool (fewer, if there are no more): first what is free after the cursor, then what
-- is free before it, then what has left quarantine and was not swept yet. Its cost depends on `wanted` alone. They are
-- counted as held. The caller has locked the pool, passes it as it read it then, and puts a row into allocations for each.
create function take_next(one pools, wanted integer, moment timestamptz) returns inet[]
language plpgsql as $$
declare
  -- Below every address; not null, since `is null or` would keep an index from beginning at the cursor.
  border inet := coalesce(one.cursor_address, '0.0.0.0');
  lowest inet;
  taken inet[] := '{}';
  emptied inet[] := '{}';
  span free_ranges;
  missing integer := wanted;
begin
  -- Nearly always the next range has more than is wanted.
  with next_range as (
    update free_ranges set first_address = first_address + wanted
    where pool_id = one.id and last_address = (
        select last_address from free_ranges where pool_id = one.id and last_address > border
        order by last_address limit 1
      )
      -- Never last - first: in an IPv6 pool that does not fit a bigint.
      and first_address + (wanted - 1) < last_address
    returning first_address as rest
  )
  update pools set held = held + wanted, cursor_address = rest - 1 from next_range where id = one.id
  returning rest - wanted into lowest;
  if found then
    return array(select lowest + i from generate_series(0, wanted - 1) i);
  end if;

  for span in
    (select * from free_ranges where pool_id = one.id and last_address > border order by last_address limit wanted)
    union all
    (select * from free_ranges where pool_id = one.id and last_address <= border order by last_address limit wanted)
  loop
    exit when missing = 0;
    if span.first_address + (missing - 1) < span.last_address then
      taken := taken || array(select span.first_address + i from generate_series(0, missing - 1) i);
      update free_ranges set first_address = span.first_address + missing
        where pool_id = one.id and last_address = span.last_address;
    else
      -- A pool that is nearly full has ranges of one address, hundreds for a batch.
      if span.first_address = span.last_address then
        taken := taken || span.last_address;
      else
        taken := taken || array(
          select span.first_address + i from generate_series(0, span.last_address - span.first_address) i
        );
      end if;
      emptied := emptied || span.last_address;
    end if;
    missing := wanted - cardinality(taken);
  end loop;
  if cardinality(emptied) > 0 then
    delete from free_ranges where pool_id = one.id and last_address = any (emptied);
  end if;
  if missing > 0 then
    taken := taken || end_quarantines(one.id, missing, moment, false, 'system', null);
  end if;
  if cardinality(taken) > 0 then
    update pools set held = held + cardinality(taken),
      cursor_address = coalesce(taken[wanted - missing], cursor_address) where id = one.id;
  end if;
  return taken;
end $$;

-- One request, every case of it. 'created', 'existing' or the code of a refusal. The caller has locked the pools of
-- `locked`; others, which have become active since, do not exist yet for this request.
--
-- Where the address comes from, in this order: the one asked for; the one the node had last, if nobody else holds it
-- and its pool is active and fits the request; the next one of the first pool that fits and is not full.
--
-- An address in quarantine goes to its last node only, when that asks for it or had nothing since. A node that was
-- forgotten and is known again is another node under the same name: what was handed out before it came is not its own.
create or replace function allocate_one(req allocation_request, locked integer[], moment timestamptz) returns text
language plpgsql as $$
declare
  node nodes;
  known boolean;
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
    if req.address is not null then
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
      -- As take_next does: what is taken out of the free ranges is held.
      update pools set held = held + 1 where id = pool.id and wish is not null;
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
      -- Another row takes its place below: as many are held as before.
      delete from allocations where address = wish;
    elsif holder.node_name = req.node_name and coalesce(holder.allocated_at >= node.created_at, false) then
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
      wish := (take_next(pool, 1, moment))[1];
      exit when wish is not null;
    end loop;
    if not matched then return 'pool_not_found'; end if;
    if wish is null then return 'pool_exhausted'; end if;
  end if;

  -- What the node says of itself comes first: it holds nothing yet, so another node_uid takes no second number.
  if known then
    update nodes set last_address = wish where name = req.node_name;
    perform update_node(req, moment);
  else
    insert into nodes (name, display_ip, node_uid, labels, last_address, created_at, updated_at)
    values (req.node_name, req.patch ->> 'displayIp', req.patch ->> 'nodeUid',
      nullif(nullif(req.patch -> 'labels', 'null'), '{}'), wish, moment, moment);
  end if;
  if was is null then
    insert into allocations (address, pool_id, node_name, sequence, allocated_at)
    values (wish, pool.id, req.node_name, next_allocation_sequence(), moment);
  else
    update allocations set state = 'allocated', quarantined_until = null, registered_at = null,
      allocated_at = moment, sequence = next_allocation_sequence() where address = wish;
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
create function allocate_together(requests jsonb)
returns table (
  ord integer, code text, address text, pool text, state allocation_state, sequence bigint,
  display_ip text, node_uid text, labels jsonb, allocated_at timestamptz, registered_at timestamptz
)
language plpgsql as $$
#variable_conflict use_column
declare
  -- Fresh ones that have no address yet, as they came; who only wants to hear what it holds; all others, by name.
  fresh allocation_request[];
  same allocation_request[];
  single allocation_request[];
  holders integer[];
  wanted_pools text[];
  wanted_addresses inet[];
  any_pool boolean;
  locked pools[] := '{}';
  one pools;
  moment timestamptz;
  req allocation_request;
  fitting allocation_request[];
  others allocation_request[];
  got inet[];
  -- Fresh ones that have an address, side by side with it.
  served allocation_request[] := '{}';
  addresses inet[] := '{}';
  pool_ids integer[] := '{}';
  pool_names text[] := '{}';
  -- What the rest are told, by ord.
  codes text[] := '{}';
  rehearsal boolean := coalesce(current_setting('edge_ipam.dry_run', true) = 'on', false);
begin
  -- A node that holds an address is known, so of an unknown one nothing more has to be looked up. Who holds one and says
  -- nothing new needs no lock and no write: that is how thousands come back at once, after a power cut.
  select array_agg(r order by (r).ord) filter (where is_fresh),
    array_agg(r) filter (where is_same),
    array_agg(r order by (r).node_name collate "C") filter (where not is_fresh and not is_same),
    coalesce(array_agg((r).ord) filter (where holds), '{}'),
    array_agg(distinct (r).pool) filter (where not holds and (r).pool is not null),
    array_agg((r).address) filter (where not holds and (r).address is not null),
    coalesce(bool_or(not holds and (r).pool is null and (r).address is null), false)
  into fresh, same, single, holders, wanted_pools, wanted_addresses, any_pool
  from (
    select r, n.name is null and r.address is null and r.limited_token is null, a.address is not null,
      case when a.address is null or r.limited_token is not null then false
        else coalesce(r.address = a.address, true) and coalesce(r.pool = p.name, true)
          and r.patch - 'labels' <@ jsonb_build_object('displayIp', n.display_ip, 'nodeUid', n.node_uid)
          and (not r.patch ? 'labels' or nullif(nullif(r.patch -> 'labels', 'null'), '{}') is not distinct from n.labels) end
    from jsonb_populate_recordset(null::allocation_request, requests) r
    left join nodes n on n.name = r.node_name
    left join allocations a on a.node_name = n.name and a.state <> 'quarantined'
    left join pools p on p.id = a.pool_id
  ) looked (r, is_fresh, holds, is_same);
  foreach req in array coalesce(same, '{}') loop
    codes[req.ord] := 'existing';
  end loop;

  -- Every pool that may be needed is locked now, in one order, so that two batches cannot wait for each other.
  if any_pool or wanted_pools is not null or wanted_addresses is not null then
    select coalesce(array_agg(p order by p.priority, p.name), '{}') into locked from (
      select * from pools p
      where p.name = any (wanted_pools) or (any_pool and p.state = 'active')
        or exists (select from unnest(wanted_addresses) w where p.cidr >>= w)
      order by p.id for update
    ) p;
  end if;
  moment := clock_timestamp();

  -- Rows of nodes are locked after the pools and in the order of their names, also those of nodes that have an address.
  if single is not null then
    foreach req in array single loop
      codes[req.ord] := case when req.ord = any (holders) then answer_holder(req)
        else allocate_one(req, array(select p.id from unnest(locked) p), moment) end;
    end loop;
    -- Some of the pools' addresses may be gone.
    select array_agg(p order by p.priority, p.name) into locked
      from pools p where p.id in (select l.id from unnest(locked) l);
  end if;

  if fresh is not null then
    foreach one in array coalesce(locked, '{}') loop
      -- A pool that was locked for an address that somebody asked for is not yet one to choose from.
      continue when not (one.name = any (coalesce(wanted_pools, '{}')) or any_pool and one.state = 'active');
      if wanted_pools is null and one.node_selector is null then
        fitting := fresh;
        others := '{}';
      else
        select coalesce(array_agg(f.req order by (f.req).ord) filter (where f.fits), '{}'),
          coalesce(array_agg(f.req order by (f.req).ord) filter (where not f.fits), '{}')
        into fitting, others
        from (
          select r,
            case when r.pool is not null then r.pool = one.name
              else one.state = 'active' and coalesce(
                one.node_selector <@ coalesce(nullif(r.patch -> 'labels', 'null'), '{}'), true) end
          from unnest(fresh) r
        ) f (req, fits);
        continue when cardinality(fitting) = 0;
      end if;
      if one.state = 'active' then
        got := take_next(one, cardinality(fitting), moment);
        served := served || fitting[1:cardinality(got)];
        addresses := addresses || got;
        pool_ids := pool_ids || array_fill(one.id, array[cardinality(got)]);
        pool_names := pool_names || array_fill(one.name::text, array[cardinality(got)]);
        fitting := fitting[cardinality(got) + 1:];
      end if;
      -- Who got nothing here may find something in the next pool; if not, this is what it is told.
      foreach req in array fitting loop
        codes[req.ord] := case when one.state = 'active' then 'pool_exhausted' else 'pool_not_active' end;
      end loop;
      fresh := others || fitting;
      exit when cardinality(fresh) = 0;
    end loop;
  end if;

  if cardinality(served) > 0 then
    return query
    -- In the order of names, by bytes as everywhere: two batches that meet on a name then wait in one direction only.
    with handed_out as materialized (
      select s.ord, s.node_name, s.actor, s.request_id, s.given, s.from_pool, s.pool_name,
        s.patch ->> 'displayIp' as display_ip, s.patch ->> 'nodeUid' as node_uid,
        nullif(nullif(s.patch -> 'labels', 'null'), '{}') as labels,
        -- The function that knows of rehearsals costs as much as a row.
        case when rehearsal then next_allocation_sequence() else nextval('allocation_sequence') end as number
      from unnest(served, addresses, pool_ids, pool_names)
        s (ord, node_name, asked_pool, asked_address, patch, actor, request_id, limited_token, given, from_pool, pool_name)
      order by s.node_name collate "C"
    ), new_nodes as (
      insert into nodes (name, display_ip, node_uid, labels, last_address, created_at, updated_at)
      select h.node_name, h.display_ip, h.node_uid, h.labels, h.given, moment, moment from handed_out h
    ), new_allocations as (
      insert into allocations (address, pool_id, node_name, sequence, allocated_at)
      select h.given, h.from_pool, h.node_name, h.number, moment from handed_out h
    ), written as (
      insert into audit (at, action, actor, request_id, node_name, address, pool, after)
      select moment, 'allocation.created', h.actor, h.request_id, h.node_name, h.given, h.pool_name,
        jsonb_strip_nulls(jsonb_build_object(
          'sequence', h.number, 'displayIp', h.display_ip, 'nodeUid', h.node_uid))
      from handed_out h
    )
    select h.ord, 'created'::text, host(h.given), h.pool_name, 'allocated'::allocation_state, h.number,
      h.display_ip, h.node_uid, h.labels, moment, null::timestamptz
    from handed_out h;
  end if;

  -- Who was not among those served at once is answered with what stands in the tables.
  if cardinality(served) < jsonb_array_length(requests) then
    return query
      select r.ord,
        -- A holder that has released its address since we looked has nothing to be answered with.
        case when codes[r.ord] = 'existing' and a.address is null then changed_meanwhile()
          else coalesce(codes[r.ord], 'pool_not_found') end,
        host(a.address), p.name::text, a.state, a.sequence, n.display_ip, n.node_uid, n.labels,
        a.allocated_at, a.registered_at
      from unnest(single || same || fresh) r
      left join allocations a on a.node_name = r.node_name and a.state <> 'quarantined'
      left join nodes n on n.name = r.node_name
      left join pools p on p.id = a.pool_id;
  end if;
end $$;

-- What these nodes hold, for those that hold something; each name once. For questions that come thousands at a time, so
-- its plan is kept, and like the others' it must not be one from when the tables were small.
create function holdings(names text[])
returns table (
  node_name text, address text, sequence bigint, state allocation_state, node_uid text, reported_ip text
)
language plpgsql stable as $$
begin
  return query
    select a.node_name::text, host(a.address), a.sequence, a.state, n.node_uid, n.reported_ip
    from unnest(names) wanted (name)
    join allocations a on a.node_name = wanted.name and a.state <> 'quarantined'
    join nodes n on n.name = wanted.name;
end $$;

-- What a release is about, for each of the requests (a JSON array of ord, and node_name or address): the row of the
-- address, or the present, else the last one of the node. A resting address that its node has already replaced is no
-- longer anybody's to release, and is missing.
create function releasable(requests jsonb)
returns table (
  ord integer, node_name text, address text, pool text, state allocation_state, sequence bigint,
  display_ip text, node_uid text, labels jsonb,
  allocated_at timestamptz, registered_at timestamptz, quarantined_until timestamptz, over boolean
)
language plpgsql stable as $$
begin
  return query
    select w.ord, a.node_name::text, host(a.address), p.name::text, a.state, a.sequence,
      holder.display_ip, holder.node_uid, holder.labels, a.allocated_at, a.registered_at, a.quarantined_until,
      coalesce(quarantine_over(a.quarantined_until, clock_timestamp()), false)
    from jsonb_to_recordset(requests) w (ord integer, node_name text, address inet)
    left join nodes asked on asked.name = w.node_name
    join allocations a on a.address = coalesce(w.address, asked.last_address)
      and a.node_name = coalesce(w.node_name, a.node_name)
    join pools p on p.id = a.pool_id
    left join nodes holder on holder.name = a.node_name
    where a.state <> 'quarantined' or holder.last_address = a.address;
end $$;

-- Sends addresses into quarantine, for as long as their pools say, by the database's clock: those that still are what the
-- requests (a JSON array of ord, address, sequence, state, actor, request_id) say. The others, which somebody changed
-- meanwhile, are missing from the answer. Rows are locked in the order of names, as the engine does.
create function release_together(requests jsonb)
returns table (
  ord integer, node_name text, address text, pool text, state allocation_state, sequence bigint,
  display_ip text, node_uid text, labels jsonb,
  allocated_at timestamptz, registered_at timestamptz, quarantined_until timestamptz
)
language plpgsql as $$
#variable_conflict use_column
declare
  moment timestamptz;
begin
  perform from jsonb_to_recordset(requests) w (address inet)
    join allocations a on a.address = w.address order by a.node_name for update of a;
  moment := clock_timestamp();
  return query
    with released as (
      update allocations a set state = 'quarantined',
        quarantined_until = moment + make_interval(secs => p.quarantine_seconds)
      from jsonb_to_recordset(requests) w (
          ord integer, address inet, sequence bigint, state allocation_state, actor text, request_id text
        ), pools p
      where a.address = w.address and a.sequence = w.sequence and a.state = w.state and p.id = a.pool_id
      returning a.*, w.ord, w.state as was, w.actor, w.request_id, p.name as pool
    ), told as materialized (
      select r.*, n.display_ip, n.node_uid, n.labels from released r left join nodes n on n.name = r.node_name
    ), written as (
      insert into audit (at, action, actor, request_id, node_name, address, pool, before, after)
      select moment, 'allocation.released', t.actor, t.request_id, t.node_name, t.address, t.pool,
        jsonb_build_object('state', t.was, 'sequence', t.sequence),
        jsonb_build_object('state', 'quarantined', 'sequence', t.sequence, 'displayIp', t.display_ip,
          'quarantinedUntil', to_char(t.quarantined_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
      from told t
    )
    select t.ord, t.node_name::text, host(t.address), t.pool::text, t.state, t.sequence, t.display_ip, t.node_uid,
      t.labels, t.allocated_at, t.registered_at, t.quarantined_until
    from told t;
end $$;

-- A new function, and one that is replaced, has no settings: index look-ups only, as in 0002. Without `material`, too:
-- a plan made while a table was known to be empty would read a whole index once and keep it beside each loop. With such
-- rules a plan for known values is no better than one for all, but the server would make one again for each batch, and
-- that cost as much as the rest of a small one. What only these functions call has their settings while they run.
do $$
declare
  one regprocedure;
  way text;
begin
  for one in
    select p.oid::regprocedure from pg_proc p join pg_language l on l.oid = p.prolang
    where p.pronamespace = current_schema::regnamespace and l.lanname = 'plpgsql' and p.prorettype <> 'trigger'::regtype
  loop
    foreach way in array array['seqscan', 'hashjoin', 'mergejoin', 'bitmapscan', 'material'] loop
      execute format('alter function %s set enable_%s = off', one, way);
    end loop;
  end loop;
  foreach one in array array['allocate_together', 'holdings', 'releasable', 'release_together']::regproc[] loop
    execute format('alter function %s set plan_cache_mode = force_generic_plan', one);
  end loop;
end $$;
alter function take_next(pools, integer, timestamptz) reset all;
alter function allocate_one(allocation_request, integer[], timestamptz) reset all;

-- A number of the sequence names one allocation: each new one takes one, and so does another node_uid of a holder;
-- nothing else does.

-- A dry run is rolled back, but a sequence is not: it looks at the numbers that would come, and takes none. It counts
-- how many it has seen, so that each item of a batch has its own.
create or replace function next_allocation_sequence() returns bigint language plpgsql as $$
declare
  seen bigint;
begin
  if current_setting('edge_ipam.dry_run', true) is distinct from 'on' then
    return nextval('allocation_sequence');
  end if;
  seen := coalesce(nullif(current_setting('edge_ipam.dry_run_seen', true), '')::bigint, 0);
  perform set_config('edge_ipam.dry_run_seen', (seen + 1)::text, true);
  return (select last_value + seen + case when is_called then 1 else 0 end from allocation_sequence);
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
      wish := (take_next(pool.id, 1, moment))[1];
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
    update pools set held = held + 1 where id = pool.id;
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

-- Replacing a function forgets its settings: index look-ups only, as in 0002.
do $$
declare
  one text;
  way text;
begin
  foreach one in array array['next_allocation_sequence()', 'allocate_one(allocation_request, integer[], timestamptz)'] loop
    foreach way in array array['seqscan', 'hashjoin', 'mergejoin', 'bitmapscan'] loop
      execute format('alter function %s set enable_%s = off', one, way);
    end loop;
  end loop;
end $$;

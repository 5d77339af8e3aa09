-- While nothing can be seen of a node that is being re-addressed, its time does not pass; but not for ever.
alter table readdress_nodes
  -- Since when every look at it has failed; `message` says how.
  add column trouble_since timestamptz,
  -- How long that was so before, in all.
  add column unseen interval not null default '0';
update readdress_nodes set trouble_since = clock_timestamp() where state = 'running' and message is not null;

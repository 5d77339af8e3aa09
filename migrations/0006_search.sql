-- Lists read what they show, however many nodes there are: indexes that cost an allocation nothing.

-- What a node had, beside allocations_one_per_node, which says what it has: for a list of one node's allocations.
create index allocations_quarantined_node on allocations (node_name) where state = 'quarantined';

-- A search for a part of an address asks what display IPs begin with. By bytes, whatever the server's locale.
drop index nodes_display_ip;
create index nodes_display_ip on nodes (display_ip text_pattern_ops) where display_ip is not null;

-- A name, too, may have a part of an address in it. Few names have a dot between digits, and a search for a text that has
-- one reads only these.
create index nodes_named_like_addresses on nodes (name) where name ~ '[0-9][.][0-9]';

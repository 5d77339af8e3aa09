module edge-ipam/bench/load/open

go 1.22

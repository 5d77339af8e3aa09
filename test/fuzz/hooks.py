"""What schemathesis has to know of this API beside its document."""

import ipaddress

import schemathesis
from hypothesis import strategies as st

# Texts of our own formats: few enough that requests meet each other's nodes, pools and addresses.

# The pool of the service (EDGE_IPAM_POOL in main.ts), two that requests make, and what lies in none.
NETWORKS = ["10.213.0.0/24", "10.214.0.0/29", "fd00:214::/120", "192.168.1.0/30"]


def _address(network: str):
    whole = ipaddress.ip_network(network)
    return st.integers(0, min(whole.num_addresses, 16) - 1).map(lambda at: str(whole[at]))


address = st.sampled_from(NETWORKS).flatmap(_address)
cidr = st.one_of(
    st.sampled_from([*NETWORKS, "10.214.0.0/28", "10.0.0.0/8", "127.0.0.0/8", "fd00:215::/48"]),
    st.integers(0, 255).map(lambda n: f"10.215.{n}.0/24"),
)
node_name = st.one_of(
    st.integers(0, 9).map(lambda n: f"edge-{n}"),
    st.from_regex(r"\A[a-z]([-a-z0-9]{0,20}[a-z0-9])?(\.[a-z]{1,10}){0,3}\Z"),
)
pool_name = st.one_of(st.sampled_from(["default", "small", "v6"]), st.from_regex(r"\A[a-z]([-a-z0-9]{0,20}[a-z0-9])?\Z"))
label = st.sampled_from(["site=a", "site=b", "example.com/role=", "x=y=z"])
glob = st.from_regex(r"\A[-.a-z0-9*?]{1,20}\Z")
# Control characters are refused, and half a character is none.
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\x7f"]), max_size=50)
time = st.datetimes().map(lambda at: at.isoformat() + "Z")

for name, strategy in {
    "address": address,
    "cidr": cidr,
    "node-name": node_name,
    "pool-name": pool_name,
    "glob": glob,
    "label": label,
    "text": text,
    "date-time": time,
}.items():
    schemathesis.openapi.format(name, strategy)


# What a schema does not say: the form is right, and yet it is refused.
REFUSED = (
    # A number is a DNS-1123 subdomain.
    "must not be readable as an IP address",
    # Cursors are opaque.
    "It is not a cursor of this list",
    # It depends on the role, and on the clock.
    "has to lie in the future",
    '"namePattern"',
    '"maxUses"',
)


@schemathesis.check
def valid_is_taken(ctx, response, case):
    """Nothing that the document allows is 400."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    errors = response.json().get("errors", [])
    if errors and all(any(part in error["message"] for part in REFUSED) for error in errors):
        return
    raise AssertionError(f"A request that the document allows is refused: {response.text}")


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """A chain of requests goes by what the earlier ones made, and a dry run makes nothing."""
    if case.meta is not None and case.meta.phase.name.value == "stateful" and case.query:
        if case.query.get("dryRun") in (True, "true"):
            del case.query["dryRun"]

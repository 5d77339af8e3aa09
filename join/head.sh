#!/bin/sh
# join.sh: joins this device to KubeEdge with a unique IP from the IPAM service.
#
#   curl -fsSL --retry 5 --retry-connrefused -o join.sh https://SERVER/join.sh &&
#     EDGE_IPAM_TOKEN=… sh join.sh --server https://SERVER -- KEADM-ARGUMENTS
#
# It asks the service for this node's unique IP (asking again gives the same one), and runs `keadm join` so that edgecore
# reports that address. `--help` tells the rest.
#
# Written for any POSIX sh: dash, busybox ash, bash. Three rules hold throughout:
#   - the token is never an argument of a program, never printed, and not in the environment of what is run;
#   - everything is inside functions, and the last line starts them: half a download does nothing;
#   - stdout tells what happens, stderr has one line when something failed.
set -eu

readonly EX_USAGE=2 EX_CLIENT=3 EX_TOKEN=4 EX_UNREACHABLE=5 EX_TLS=6 EX_BUSY=7 EX_UNAUTHORIZED=8 EX_FORBIDDEN=9
readonly EX_NOT_FOUND=10 EX_CONFLICT=11 EX_REFUSED=12 EX_ANSWER=13 EX_NO_KEADM=14 EX_UNKNOWN_KEADM=15 EX_JOIN=16
readonly EX_OTHER=17 EX_TAKEN=18 EX_NOT_RUNNING=19 EX_NOT_JOINED=20 EX_EDIT=21 EX_INTERFACE=22 EX_RESET=23

usage() {
  cat <<'HELP'
Usage: join.sh --server URL [options] [-- arguments for keadm join]
       join.sh --check [options]
       join.sh --uninstall [options]

Gets this node's unique IP from the IPAM service and runs `keadm join` with it. To get this script, and to notice if that
fails (`curl … | sh` would end with 0):

  curl -fsSL --retry 5 --retry-connrefused -o join.sh https://SERVER/join.sh &&
    EDGE_IPAM_TOKEN=… sh join.sh --server https://SERVER -- KEADM-ARGUMENTS

  --server URL        the IPAM service, http:// or https:// (or EDGE_IPAM_SERVER); default: the one that this device has
                      joined with
  --token-file FILE   the file whose first line is the token (or EDGE_IPAM_TOKEN_FILE, or the token in EDGE_IPAM_TOKEN)
  --node-name NAME    default: --edgenode-name from the keadm arguments, else the name this device is set up with, else
                      this host's name, made valid
  --display-ip IP     the address that people see; default: the one of the interface with the default route
                      (never of a container bridge), sent only if the node has none yet; "none" sends none
  --pool NAME         the pool to take the address from
  --label KEY=VALUE   a label of the node; may be repeated
  --node-uid UID      tells devices of one name apart; "hardware" makes one of this board's serial number
  --take-over         join though the name is in use: this device was re-imaged, or replaces the other one
  --readdress         give a device that is set up with another address the one it should have, and restart edgecore
  --dummy-interface   make an interface that carries the address (with KubeEdge 1.12.0 and 1.12.1 it is always made)
  --keadm PATH        default: keadm in PATH
  --timeout SECONDS   how long to go on trying while the service cannot be reached or is busy; default 300, with --check 0
                      (try once)
  --ca-file FILE      certificate of the authority that signed the service's certificate (PEM)
  --ca-sha256 HEX     SHA-256 fingerprint of that certificate; the service has to present the certificate itself
  --dry-run           says what would be done, and keeps nothing
  --check             says whether this device has the address it should; changes nothing
  --uninstall         runs keadm reset, and releases the address if the token may
  --help

There is no --token: every user of this device could read it in the list of processes.

Exit codes
   0  joined, or it already was; with --check: the device has the address it should
   1  stopped by something unforeseen
   2  wrong usage
   3  neither curl nor GNU wget 1 here (busybox wget cannot keep the token out of the list of processes), or a program
      that an option needs
   4  no token, or one that cannot be read
   5  the service could not be reached in time
   6  the service's certificate is not trusted
   7  the service was reached and stayed busy or broken (429, 500, 502, 503, 504)
   8  the token was refused (401)
   9  the token may not do this (403)
  10  not found (404): the pool, or the service under this URL
  11  a conflict (409): the pool is full, or the node holds another address than asked for
  12  the request was refused (400, 422, other 4xx)
  13  the answer was not understood: is this URL the IPAM service?
  14  no keadm
  15  the keadm is none that is known: it has no way to be told an address
  16  keadm join failed
  17  this device is set up with another address or another name
  18  another device has joined under this name
  19  this device is set up with its address, but edgecore does not run, or the dummy interface is missing
  20  this device is not joined (--check)
  21  edgecore.yaml could not be read or changed
  22  the dummy interface could not be made
  23  keadm reset failed (--uninstall)
 130, 143  interrupted, terminated

Running it again does no harm: the node keeps its address, and a device that is set up is left alone.
HELP
}

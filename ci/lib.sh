# Shared by the scripts in ci/: where things are, how they report. Sourced, never run.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything that is fetched or made once lives here: packages, the test servers, kernels, guests.
work=${DBCC_WORK:-$root/.work}
case $work in /*) ;; *) work=$PWD/$work ;; esac
export DBCC_WORK=$work

# What the tests are told; the harness in tests/src/need.rs has the same defaults.
export DBCC_MYSQL56=${DBCC_MYSQL56:-$work/mysql56/server/mysqld}
export DBCC_MARIADB_DATA=${DBCC_MARIADB_DATA:-$work/mariadb-data}
export DBCC_VM_GUEST=${DBCC_VM_GUEST:-$work/guests/6.1}

# say TEXT: one line, with the seconds since the script began.
say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

die() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# as_root COMMAND…: directly where we are root, through sudo elsewhere.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "'$*' needs root: run as root, or install sudo"
  fi
}

# need_commands COMMAND…: all of them, or an error that names every missing one.
need_commands() {
  local missing=() c
  for c in "$@"; do command -v "$c" >/dev/null || missing+=("$c"); done
  [ ${#missing[@]} = 0 ] || die "not found: ${missing[*]} (ci/setup installs them)"
}

# free_port: a TCP port of 127.0.0.1 that nobody listens on, below those that clients get from the kernel.
free_port() {
  python3 - << 'PYTHON'
import random, socket
for port in random.sample(range(20000, 32000), 100):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
else:
    raise SystemExit("no free TCP port")
PYTHON
}

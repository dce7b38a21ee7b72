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
export DBCC_MYSQL97=${DBCC_MYSQL97:-$work/mysql97/usr/sbin/mysqld}
export DBCC_MYSQL97_DATA=${DBCC_MYSQL97_DATA:-$work/mysql97-data}
export DBCC_POSTGRES=${DBCC_POSTGRES:-$work/postgres15/usr/lib/postgresql/15/bin/postgres}

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

# debian_mirror: the main archive of Debian that the host's own apt uses, without a slash at its end, or the one that
# DBCC_DEBIAN_MIRROR names. The one for security is beside it.
debian_mirror() {
  local archive
  # That apt-get is not read to its end is no failure; that nothing was found is told below.
  # shellcheck disable=SC2016 # expanded by apt-get
  archive=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m 1 '/debian/*$' || true)
  archive=${DBCC_DEBIAN_MIRROR:-${archive%/}}
  [ -n "$archive" ] || die "apt knows no mirror of Debian: name one in DBCC_DEBIAN_MIRROR, as far as .../debian"
  echo "$archive"
}

# own_apt SUITE: sets the array `apt` to the options that give apt-get and apt-cache a configuration of their own in the
# work folder, with that suite of Debian alone and nothing installed, so that the host's is left alone.
own_apt() {
  local suite=$1 state=$work/apt/$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg archive
  mkdir -p "$state"/{lists/partial,archives/partial,empty}
  [ -r "$keyring" ] || die "$keyring not found: install debian-archive-keyring"
  archive=$(debian_mirror)
  echo "deb [signed-by=$keyring] $archive $suite main" > "$state/sources.list"
  [ "$suite" = sid ] ||
    echo "deb [signed-by=$keyring] $archive-security $suite-security main" >> "$state/sources.list"
  : > "$state/status"
  # shellcheck disable=SC2034 # for the caller
  apt=(-o "Dir::Etc::SourceList=$state/sources.list" -o "Dir::Etc::SourceParts=$state/empty"
    -o "Dir::Etc::PreferencesParts=$state/empty" -o "Dir::State=$state" -o "Dir::State::Lists=$state/lists"
    -o "Dir::State::status=$state/status" -o "Dir::Cache=$state" -o "Dir::Cache::Archives=$state/archives"
    -o "APT::Architecture=amd64" -o "APT::Sandbox::User=root" -o "Acquire::Languages=none"
    -o "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false")
}

# exec_beside_headers COMMAND…: becomes a benchmark that runs BCC too, which compiles against the headers of the running
# kernel. Where Debian has none for it, BCC gets those of Debian's own kernel, in a mount namespace of the benchmark's: it
# looks for them under /lib/modules, and nothing is left there.
exec_beside_headers() {
  local kernel headers build
  kernel=$(uname -r)
  [ ! -e "/lib/modules/$kernel/build" ] || exec "$@"
  headers=("/usr/src/linux-headers-6.1.0-"*-amd64)
  build=${headers[-1]}
  say "no headers for $kernel: BCC gets ${build##*/} instead"
  # shellcheck disable=SC2016 # expanded by the inner shell
  exec unshare --mount --propagation private bash -euc '
    mount -t tmpfs headers /lib/modules
    mkdir "/lib/modules/$1"
    ln -s "$2" "/lib/modules/$1/build"
    ln -s "${2%-amd64}-common" "/lib/modules/$1/source"
    shift 2
    exec "$@"' bash "$kernel" "$build" "$@"
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

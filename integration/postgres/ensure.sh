#!/bin/sh
# Makes sure that Postgres' programs are on this machine, for the launcher in this
# folder, which starts servers of its own: the system's package manager is asked for
# the programs alone, and no server is set up or started beside whatever runs here.
set -eu

found() {
  if command -v initdb >/dev/null && command -v postgres >/dev/null; then return 0; fi
  # The same folders as in binaries.go.
  for folder in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin \
    /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
    if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then return 0; fi
  done
  return 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

with_apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql-common
  # A fresh installation would make a cluster and start it, on the standard port.
  # The switch is ours for the time of the installation only.
  switch=/etc/postgresql-common/createcluster.d/airflow-identity.conf
  as_root mkdir -p "${switch%/*}"
  echo 'create_main_cluster = false' | as_root tee "$switch" >/dev/null
  trap 'as_root rm -f "$switch"' EXIT
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql
}

if found; then exit 0; fi

echo "no Postgres here yet: installing the system's package" >&2
if command -v apt-get >/dev/null; then
  with_apt >&2
elif command -v dnf >/dev/null; then
  as_root dnf install -y postgresql-server >&2
elif command -v brew >/dev/null; then
  brew install postgresql@17 >&2
else
  echo "install Postgres 13 or later by hand: neither apt-get, dnf nor brew is here" >&2
  exit 1
fi

if ! found; then
  echo "installed, and still no initdb and postgres on PATH or in the usual folders" >&2
  exit 1
fi

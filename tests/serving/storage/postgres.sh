#!/usr/bin/env bash
# Runs a command beside a PostgreSQL server of its own, which is gone afterwards:
#   tests/serving/storage/postgres.sh pytest tests/serving/storage
# The command finds the server's URL in SHOTSTREAM_TEST_POSTGRES. Root gets missing Debian packages installed.
set -euo pipefail

programs() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }
if [ -z "$(programs)" ]; then
  [ "$(id -u)" = 0 ] || { echo "PostgreSQL is missing: apt-get install postgresql" >&2; exit 1; }
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null
fi
bin=$(programs)
as_server=(env)
folder=$(mktemp -d)
if [ "$(id -u)" = 0 ]; then  # the server refuses to run as root
  as_server=(runuser -u postgres --)
  chown postgres "$folder"
fi

stop() {
  (cd / && "${as_server[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null) || true
  rm -rf "$folder"
}
trap stop EXIT
(
  cd /
  "${as_server[@]}" "$bin/initdb" -D "$folder/data" -U shotstream -A trust -E UTF8 >/dev/null
  # a socket in the folder and no port: nothing outside can reach it, and no other server is in its way
  "${as_server[@]}" "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" \
    -o "-c listen_addresses='' -c unix_socket_directories='$folder'" start >/dev/null
)
chmod 755 "$folder"
export SHOTSTREAM_TEST_POSTGRES="postgresql+psycopg://shotstream@/postgres?host=$folder"
"$@"

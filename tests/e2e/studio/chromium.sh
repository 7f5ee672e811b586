#!/usr/bin/env bash
# Sees that there is a browser for the tests in this folder; root gets Debian's Chromium installed where it is missing.
set -euo pipefail
if command -v chromium >/dev/null; then exit 0; fi
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "Chromium is missing: apt-get install chromium" >&2; exit 1; }
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null

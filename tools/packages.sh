#!/bin/sh
# Install the Debian or Ubuntu packages of these names that are missing: packages.sh PACKAGE...
# Where that is not allowed they are named, and the exit status is 1.
set -eu
missing=
for package in "$@"; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed"; then missing="$missing $package"; fi
done
if [ -z "$missing" ]; then exit 0; fi
if [ "$(id -u)" = 0 ]; then as_root=; else as_root="sudo -n"; fi
# Word splitting is meant, for the names of several packages.
if command -v apt-get >/dev/null 2>&1 && $as_root apt-get update -q && $as_root apt-get install -qy --no-install-recommends $missing; then
    exit 0
fi
echo "missing on this system; install it: sudo apt-get install$missing" >&2
exit 1

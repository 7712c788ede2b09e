#!/bin/sh
# Install the Debian or Ubuntu packages of these names that are missing: packages.sh PACKAGE...
# Where that is not possible they are named, and the exit status is 1.
set -eu
missing=
for package in "$@"; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed"; then
        missing="$missing $package"
    fi
done
if [ -z "$missing" ]; then exit 0; fi
if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then as_root=; else as_root="sudo -n"; fi
    # Several words are meant: one for each package.
    if $as_root apt-get update -q && $as_root apt-get install -qy --no-install-recommends $missing; then exit 0; fi
    echo "missing; install it: sudo apt-get install$missing" >&2
else
    echo "needed, by the names they have in Debian:$missing" >&2
fi
exit 1

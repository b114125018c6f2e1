#!/usr/bin/env bash
# debian.sh PROGRAM PACKAGE [PROGRAM PACKAGE]...: install the Debian packages whose programs
# are missing (`-` is always missing), or, when that may not be done, say which they are.
set -euo pipefail

missing=()
while [ $# -gt 0 ]; do
  command -v "$1" >/dev/null || missing+=("$2")
  shift 2
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "error: missing: ${missing[*]}" >&2
  echo "hint: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi

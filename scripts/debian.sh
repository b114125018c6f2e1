#!/usr/bin/env bash
# debian.sh PROGRAM PACKAGE [PROGRAM PACKAGE]...: install the Debian packages whose programs
# are missing (`-` is always missing), or, when that may not be done, say which they are.
# `A|B` is one of both: a program that is there, and the first package that Debian has.
set -euo pipefail

is_there() {
  local program
  for program in ${1//|/ }; do
    command -v "$program" >/dev/null && return
  done
  return 1
}

chosen() {
  local package
  for package in ${1//|/ }; do
    apt-cache show "$package" >/dev/null 2>&1 && break
  done
  echo "$package"
}

missing=()
while [ $# -gt 0 ]; do
  is_there "$1" || missing+=("$2")
  shift 2
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  mapfile -t packages < <(for it in "${missing[@]}"; do chosen "$it"; done)
  apt-get -qq install --yes --no-install-recommends "${packages[@]}" >/dev/null
else
  mapfile -t packages < <(for it in "${missing[@]}"; do chosen "$it"; done)
  echo "error: missing: ${packages[*]}" >&2
  echo "hint: sudo apt-get install ${packages[*]}" >&2
  exit 1
fi

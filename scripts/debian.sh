#!/usr/bin/env bash
# debian.sh [--optional] PROGRAM PACKAGE [PROGRAM PACKAGE]...: install the Debian packages whose
# programs are missing (`-` is always missing), or, when that may not be done, say which they are.
# `A|B` is one of both: a program that is there, and the first package that Debian has.
# With --optional, which is for what gives workspaces a sandbox, nothing is an error.
set -euo pipefail

is_there() {
  local program
  for program in ${1//|/ }; do
    command -v "$program" >/dev/null && return
    [ -x "/usr/sbin/$program" ] && return  # which is not on every user's PATH
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

optional=
[ "${1:-}" != --optional ] || { optional=yes; shift; }
missing=()
while [ $# -gt 0 ]; do
  is_there "$1" || missing+=("$2")
  shift 2
done
[ ${#missing[@]} -gt 0 ] || exit 0

command="apt-get install"
for system in "dnf install" "zypper install" "pacman -S" "apk add"; do
  command -v apt-get >/dev/null || ! command -v "${system% *}" >/dev/null || command=$system
done
packages=("${missing[@]}")

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  limits=(-o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)
  install() {
    apt-get -qq "${limits[@]}" install --yes --no-install-recommends "$@" >/dev/null
  }
  refresh() {
    apt-get -qq "${limits[@]}" update
    mapfile -t packages < <(for it in "${missing[@]}"; do chosen "$it"; done)
  }
  if [ -z "$optional" ]; then
    refresh
    install "${packages[@]}"
    exit
  fi
  echo "Installing ${packages[*]} by apt: a sandbox and a network for each workspace"
  # Lists that are there save the download of new ones; a new container has none.
  install "${packages[@]}" 2>/dev/null || { refresh && install "${packages[@]}"; } 2>/dev/null ||
    echo "They were not installed, so workspaces get weaker walls; try again: $command ${packages[*]}"
  exit 0
fi

! command -v apt-cache >/dev/null ||
  mapfile -t packages < <(for it in "${missing[@]}"; do chosen "$it"; done)
if [ "$optional" ]; then
  sudo=$([ "$(id -u)" = 0 ] || echo "sudo ")
  echo "Workspaces get a sandbox and a network of their own with: $sudo$command ${packages[*]}"
  exit 0
fi
echo "error: missing: ${packages[*]}" >&2
echo "hint: sudo $command ${packages[*]}" >&2
exit 1

#!/usr/bin/env bash
# uv.sh PYTHON REQUIREMENT FOLDER: install the pinned uv of REQUIREMENT as FOLDER/bin/uv, for a
# Python that has no pip, as Debian's without python3-venv. pip comes from Debian's own package of
# it, which is unpacked and not installed, so this needs no rights. pip knows the package index,
# and reads its own settings for mirrors, proxies and certificates.
set -euo pipefail
python=$1 requirement=$2 folder=$3
fail() {
  echo "error: uv was not installed: $1" >&2
  echo "hint: sudo apt-get install python3-venv" >&2
  exit 1
}
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "this Python has no pip"

work=$(mktemp -d "$folder/pip.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/target"
# Lists of our own, where the system has none yet; `_apt` may not write into our folder.
own=(-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=)
fetch() { (cd "$work" && apt-get -qq "$@" download python3-pip-whl); }
fetch -o APT::Sandbox::User= 2>/dev/null ||
  { apt-get -qq "${own[@]}" update && fetch "${own[@]}"; } ||
  fail "Debian's package of pip was not downloaded"
dpkg-deb --extract "$work"/python3-pip-whl_*.deb "$work/package"
wheels=("$work"/package/usr/share/python-wheels/pip-*.whl)
"$python" "${wheels[0]}/pip" install --progress-bar off --disable-pip-version-check --no-cache-dir \
  --require-hashes --target "$work/target" --requirement "$requirement" |
  sed -nE 's/^ *(Downloading )/\1/p' || fail "the package index did not give it"
mkdir -p "$folder/bin"
mv "$work/target/bin/uv" "$folder/bin/uv"

#!/usr/bin/env bash
# oldest.sh [PYTHON]: try the oldest Python that Prism supports, in a clone of the last commit:
# the real `make quickstart`, a command in its workspace, then each test with one of its parameters.
set -euo pipefail
cd "$(dirname "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL VIRTUAL_ENV

version=$(sed -n 's/^requires-python = ">=\(.*\)"$/\1/p' pyproject.toml)
# A version manager may put a program of that name on PATH that only fails.
usable="import ensurepip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')"
python=
for candidate in ${1:-$(type -aP "python$version")}; do
  if "$candidate" -c "$usable" 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "NOT TRIED: Python $version, the oldest that Prism supports, is not on PATH (with ensurepip)."
  exit 0
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/prism-oldest-XXXXXX")
chmod 755 "$folder"  # as where you would clone it; some tests run it as another user
# Not exported: the tests have homes of their own, and no command here may reach another home.
home=$folder/home
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
prism() { PRISM_HOME=$home PRISM_PORT=$port "$folder/prism/.venv/bin/prism" "$@"; }
clean() {
  if [ -d "$home" ]; then
    prism terminate --all --yes || :
    prism daemon stop || :
  fi
  rm -rf "$folder"
}
trap clean EXIT

echo "Trying $("$python" -V) at $python …"
git clone --quiet . "$folder/prism"
cd "$folder/prism"
address=$(PRISM_HOME=$home PRISM_PORT=$port make quickstart PYTHON="$python" | tee -a /dev/stderr | tail -n 1)
[[ $address == http://* ]] || { echo "error: no address at the end of quickstart" >&2; exit 1; }
# What it prints there proves which Python runs the workspace.
[ "$(prism exec quickstart -- python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = "$version" ]
prism terminate quickstart --yes
prism daemon stop
rm -rf "$home"

# No parameter of a test is for one version of Python, so each test once runs all code.
make test PYTHON="$python" PYTEST=".venv/bin/python scripts/flaky.py run --each-test-once"

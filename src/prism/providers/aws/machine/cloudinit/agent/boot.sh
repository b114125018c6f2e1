#!/bin/bash
# Makes this machine what its template says, and tells its console how far it is. It runs at
# every boot: what is done, and made of the same, is passed by; what failed is done again.
set -uo pipefail
umask 022
LOG=/var/log/cloud-init-output.log DONE=/var/lib/prism/done PATIENCE=600 WAITED=0
SERVICE_PATIENCE=1800 # a machine without CPU credits is slow
MARK=prism-boot:

say() {
  { printf '\n%s\n' "$1" >/dev/console; } 2>/dev/null
  echo "$1"
}

fail() {  # MARKER: the end, with the end of the log, but without cloud-init's own lines
  { tail -n 30 "$LOG" | grep -aEv '^(Cloud-init v|ci-info|<14>|$)' | tail -n 5 | tr -cd '\11\12\40-\176' | cut -c -200 |
    sed "s/$MARK/…/g; s/^/prism-log: /" >/dev/console; } 2>/dev/null # no word of theirs is a marker
  say "$1"
  exit 1
}

boot_id() {  # by which a machine that woke up is told from one that had to boot anew, or hangs
  local memory=/run/prism-memory # a tmpfs: only its RAM has it
  [ -s "$memory" ] || cat /proc/sys/kernel/random/uuid >"$memory"
  say "$MARK id $(cat /proc/sys/kernel/random/boot_id) $(cat "$memory") $(date -u +%FT%TZ)"
}

hostkey() {  # how others know that it is this machine, whoever answers at its address
  local key=/etc/ssh/ssh_host_ed25519_key.pub
  [ -s "$key" ] || ssh-keygen -q -t ed25519 -N '' -f "${key%.pub}"
  say "$MARK hostkey $(cut -d ' ' -f 1,2 "$key")"
}

step() {  # NAME DIGEST FAILED COMMAND...
  local name=$1 digest=$2 failed=$3
  shift 3
  [ "$(cat "$DONE/$name" 2>/dev/null)" = "$digest" ] && return
  printf '\n== %s, %s\n' "$name" "$(date -u +%FT%TZ)" >>"$LOG"
  "$@" >>"$LOG" 2>&1 </dev/null || fail "$failed"
  printf %s "$digest" >"$DONE/$name.new" && mv "$DONE/$name.new" "$DONE/$name"
}

retry() {  # networks and mirrors have bad moments
  local pause
  for pause in 5 15 30 0; do
    "$@" && return
    sleep "$pause"
  done
  return 1
}

fetch() {  # FILE URL SHA256: what its publisher has published, or nothing
  retry curl -fsSL --retry 3 -o "$1" "$2" || return
  if ! echo "$3  $1" | sha256sum --check --strict -; then
    echo "what came from $2 is not what was published"
    rm -f "$1"
    return 1
  fi
  chmod 644 "$1"
}

as_worker() {
  runuser -u "$WORKER" -- env -i HOME="$WORKER_HOME" USER="$WORKER" LOGNAME="$WORKER" \
    SHELL=/bin/bash LANG=C.UTF-8 TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /bin/sh -c '. /etc/profile.d/prism.sh; cd && exec "$@"' sh "$@"
}

with_apt() {
  apt_install -- "$@"
}

apt_install() {  # OPTIONS... -- PACKAGES...
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  local options=(-y -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=5 -o Dpkg::Options::=--force-confold)
  dpkg --force-confold --configure -a # a boot may have been cut short
  retry apt_update "${options[@]}" && retry apt-get "${options[@]}" install "$@"
}

apt_update() {  # OPTIONS...: DPkg::Lock::Timeout does not wait for the lock of the package lists
  local words code
  until words=$(LC_ALL=C apt-get "$@" update 2>&1); code=$?; [ "$code" = 0 ]; do
    [[ $words == *"Could not get lock"* && $WAITED -lt $PATIENCE ]] || break
    WAITED=$((WAITED + 10)) # of all tries together
    sleep 10
  done
  echo "$words"
  return "$code"
}

with_rstudio() {  # URL SHA256
  local file=/var/tmp/prism-rstudio.deb
  fetch "$file" "$1" "$2" || return
  systemctl mask rstudio-server.service || return # its own listens to everybody, and at once
  apt_install --no-install-recommends -- "$file" && rm -f "$file" # what it recommends is a second R
}

with_nokaslr() {  # EC2 User Guide, "Disable KASLR on an instance (Ubuntu only)"
  local file=/etc/default/grub.d/99-prism.cfg
  mkdir -p "${file%/*}"
  # shellcheck disable=SC2016  grub's own shell fills it in
  echo 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT nokaslr"' >"$file"
  update-grub
}

restart_for() {  # WORD: once, until the kernel's command line has it
  grep -qw "$1" /proc/cmdline && return
  [ ! -e "$DONE/restarted-for-$1" ] || return 0 # it did not help, and would not help again
  touch "$DONE/restarted-for-$1"
  say "$MARK restart"
  systemctl reboot
  exit 0
}

with_gpu() {  # the newest driver for servers that fits, with its kernel modules and nvidia-smi
  local version
  ! nvidia-smi -L || return 0
  apt_install -- ubuntu-drivers-common pciutils || return
  version=$(ubuntu-drivers list --gpgpu | grep -oE 'nvidia-driver-[0-9]+-server' | grep -oE '[0-9]+' | sort -n | tail -n 1)
  [ -n "$version" ] || {
    echo "no driver fits: $(lspci | grep -i nvidia)"
    return 1
  }
  apt_install -- "nvidia-headless-no-dkms-$version-server" "nvidia-utils-$version-server" \
    "linux-modules-nvidia-$version-server-aws"
}

gpu_answers() {  # at every boot: a workspace without its GPU is not ready
  modprobe nvidia >>"$LOG" 2>&1
  nvidia-smi -L >>"$LOG" 2>&1 && return
  if [ ! -e "$DONE/restarted-for-gpu" ]; then # the modules may be of a newer kernel
    touch "$DONE/restarted-for-gpu"
    say "$MARK restart"
    systemctl reboot
    exit 0
  fi
  echo "nvidia-smi -L finds no GPU: $(nvidia-smi -L 2>&1 | tail -n 1)" >>"$LOG"
  fail "$MARK failed gpu"
}

with_dnf() {
  retry dnf -y --allowerasing --setopt=retries=10 install "$@"
}

with_conda() {  # URL SHA256 ARGUMENTS...
  local prefix=$WORKER_HOME/miniconda3 file=/var/tmp/prism-miniforge.sh url=$1 sum=$2
  shift 2
  if [ ! -e "$prefix/.complete" ]; then
    rm -rf "$prefix"
    fetch "$file" "$url" "$sum" || return
    as_worker /bin/bash "$file" -b -p "$prefix" && as_worker touch "$prefix/.complete" || return
    rm -f "$file"
  fi
  [ $# -eq 0 ] || retry as_worker "$prefix/bin/conda" install --yes --quiet "$@"
}

with_pip() {  # PYTHON PACKAGES...
  local venv=$WORKER_HOME/.venv python=$1
  shift
  if [[ $python != /* ]]; then
    [ -x "$venv/bin/pip" ] || as_worker "$python" -m venv --clear "$venv" || return
    python=$venv/bin/python
  fi
  retry as_worker "$python" -m pip install --quiet --disable-pip-version-check --upgrade pip uv || return
  [ $# -eq 0 ] || retry as_worker env UV_SYSTEM_CERTS=1 "${python%/*}/uv" pip install --python "$python" "$@"
}

serve() {  # UNITS...
  systemctl daemon-reload && systemctl enable "$@" || fail "$MARK failed services"
  systemctl reset-failed "$@" 2>/dev/null
  systemctl start --no-block "$@"
  SECONDS=0
}

answer() {  # FAILED UNIT URL: wait until it answers
  until [[ $(curl -s -o /dev/null -m 5 --noproxy '*' -w '%{http_code}' "$3") =~ ^[234] ]]; do
    if systemctl is-failed --quiet "$2" || [ "$SECONDS" -gt "$SERVICE_PATIENCE" ]; then
      echo "$2 does not answer at $3" >>"$LOG"
      fail "$1"
    fi
    sleep 1
  done
}

mkdir -p "$DONE" /var/log/journal
touch "$LOG" && chmod 640 "$LOG"

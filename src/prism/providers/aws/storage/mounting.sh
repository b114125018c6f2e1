# Shows volumes in ~/volumes of a machine, and hides them. Root runs it: sh -s -- VERB ...
#
#   disk ID DEVICE GB NAME MADE   an EBS volume; MADE is `new` where it was made empty and may
#                                 be given a file system, if there is still nothing on it,
#                                 `copy` where it comes of a snapshot, `old` once it was shown
#   share ID ADDRESS NAME         an EFS file system, by the address of a mount target
#   leave ID                      either: it is unmounted, and forgotten
#
# Each may be repeated. 0: it is so. 65: no, and why. 16: no, somebody uses it. 75: not yet.
# What is on a disk is never destroyed: a file system is made only where blkid and wipefs find
# nothing and both ends are zeros, and only on a volume that was made empty.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
fstab=${PRISM_FSTAB:-/etc/fstab}
devices=${PRISM_DEVICES:-/dev}
work=${PRISM_WORK:-/run/prism-volumes}
who=${SUDO_USER:-$(id -un)}
NFS=nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport

stop() { # CODE WORDS
    code=$1
    shift
    echo "$*" >&2
    exit "$code"
}
refuse() { stop 65 "$*"; }
later() { stop 75 "$*"; }

# ------------------------------------------------------------------ what is there
find_disk() { # ID DEVICE GB: the device of a volume; names say nothing on Nitro
    serial=$(printf %s "$1" | tr -d -)
    link=$devices/disk/by-id/nvme-Amazon_Elastic_Block_Store_$serial
    if [ -b "$link" ]; then
        readlink -f "$link"
        return
    fi
    name=$(lsblk -dnro NAME,SERIAL 2>/dev/null | awk -v s="$serial" '$2 == s { print $1; exit }')
    if [ -n "$name" ]; then
        echo "/dev/$name"
        return
    fi
    [ -b "$devices/xvda" ] || return 0 # on Xen the name that was asked for is the device
    for found in "$devices/xvd${2#/dev/sd}" "$devices/sd${2#/dev/sd}"; do
        if [ -b "$found" ] && [ "$(blockdev --getsize64 "$found")" = $(($3 << 30)) ]; then
            echo "$found"
            return
        fi
    done
}

probe() { # WHAT DEVICE: TYPE, PTTYPE, UUID; nothing where there is none, or several
    blkid -p -s "$1" -o value "$2" 2>/dev/null
}

zeros() { # DEVICE MEGABYTES-TO-SKIP
    some=$(dd if="$1" bs=1M skip="$2" count=4 2>/dev/null | tr -d '\0' | head -c 1 | wc -c)
    [ "$some" -eq 0 ]
}

is_empty() { # DEVICE
    blkid -p "$1" >/dev/null 2>&1
    [ $? -eq 2 ] || return 1 # 2: nothing that it knows; 8: several things
    [ -z "$(wipefs "$1" 2>&1)" ] || return 1
    megabytes=$(($(blockdev --getsize64 "$1") >> 20))
    [ "$megabytes" -ge 8 ] && zeros "$1" 0 && zeros "$1" $((megabytes - 4))
}

parts_of() { # DISK: its partitions, the largest first
    lsblk -lnpbo SIZE,TYPE,NAME "$1" | awk '$2 == "part" { print $1, $3 }' | sort -rn | cut -d' ' -f2
}

is_known() { # KIND
    case $1 in ext2 | ext3 | ext4 | xfs | btrfs) return 0 ;; esac
    return 1
}

file_system_of() { # DISK: what can be mounted of it
    if is_known "$(probe TYPE "$1")"; then
        echo "$1"
        return
    fi
    for part in $(parts_of "$1"); do
        if is_known "$(probe TYPE "$part")"; then
            echo "$part"
            return
        fi
    done
}

mounted_at() { # PATH
    findmnt -rn -M "$1" >/dev/null 2>&1
}

# ------------------------------------------------------------------ new file systems, new ids
make_file_system() { # DISK
    is_empty "$1" || refuse "there is something on it that is no file system, and it is left alone"
    if command -v mkfs.ext4 >/dev/null; then
        words=$(mkfs.ext4 -q -m 0 "$1" 2>&1) || refuse "mkfs: $words"
    elif command -v mkfs.xfs >/dev/null; then
        words=$(mkfs.xfs -q "$1" 2>&1) || refuse "mkfs: $words"
    else
        refuse "this machine has neither mkfs.ext4 nor mkfs.xfs"
    fi
}

# What is restored from a snapshot is fetched as it is read, so looking it through may take minutes:
# it is done by a unit of its own, or a process where there is no systemd, and asked for again.
at_leisure() { # ID WORDS COMMAND...: its exit code in `code`, once it has ended
    job=$work/job-$1 words=$2
    shift 2
    if [ -s "$job/code" ]; then
        code=$(cat "$job/code") words=$(grep -v 'dmesg(1)' "$job/said" 2>/dev/null | tail -n 1)
        rm -rf "$job"
        return
    fi
    if [ ! -d "$job" ] || ! kill -0 "$(cat "$job/pid" 2>/dev/null || echo 0)" 2>/dev/null; then
        rm -rf "$job"
        mkdir -p "$job"
        run='echo $$ >"$0/pid"; "$@" >"$0/said" 2>&1; echo $? >"$0/code"'
        if [ -d /run/systemd/system ]; then
            systemd-run --quiet --collect sh -c "$run" "$job" "$@" || refuse "systemd-run: no unit"
        else
            setsid sh -c "$run" "$job" "$@" >/dev/null 2>&1 &
        fi
        until [ -s "$job/pid" ]; do sleep 0.1; done
    fi
    later "$words"
}

# A copy has the ids of what it was copied from. Two of the same on one machine, and the next
# boot may take the wrong one for its root disk: the copy gets others. No data is touched.
make_unique() { # PART MADE ID
    uuid=$(probe UUID "$1")
    twin=$(blkid -c /dev/null -t UUID="$uuid" -o device | grep -vxF "$1" | head -n 1)
    [ "$2" = copy ] || [ -n "$twin" ] || return 0
    case $(probe TYPE "$1") in
    ext*)
        new='e2fsck -fp "$1"; found=$?; [ $found -le 1 ] || exit $found; tune2fs -U random -L "" "$1" || exit 100'
        at_leisure "$3" "its file system is being checked: AWS fetches a restored disk as it is read" \
            sh -c "$new" sh "$1"
        case $code in
        0) ;;
        100) refuse "tune2fs: $words" ;;
        *) # e2fsck(8): 4 says that errors are left; 8 and more that it could not look
            [ $((code & 4)) -eq 0 ] || refuse "its file system needs a repair that nobody should do unasked"
            later "its file system could not be checked yet: $words"
            ;;
        esac
        ;;
    xfs)
        # Its log has to be empty: mounting it replays the log. It is mounted where nobody sees it.
        new='aside=$2; mkdir -p "$aside" && mount -t xfs -o nouuid "$1" "$aside" || exit 101
             umount "$aside" || exit 102; rmdir "$aside"
             xfs_admin -U generate "$1" || exit 100; xfs_admin -L -- "$1"; exit 0'
        at_leisure "$3" "its file system gets an id of its own: AWS fetches a restored disk as it is read" \
            sh -c "$new" sh "$1" "$work/aside-$3"
        case $code in
        0) ;;
        101)
            case $words in *busy*) later "its file system is still in use: $words" ;; esac
            refuse "mount: $words"
            ;;
        102) later "its file system is still in use: $words" ;;
        *) refuse "xfs_admin: $words" ;;
        esac
        ;;
    *) [ -z "$twin" ] || refuse "it is a copy of $twin, which is on this machine too" ;;
    esac
}

# The same for the table of partitions. One of them is mounted by now: so the kernel keeps them
# as they are, and does not take them away and bring them back while they are worked on.
rename_parts() { # DISK PART MADE
    uuid=$(probe PART_ENTRY_UUID "$2")
    twin=$(blkid -c /dev/null -t PARTUUID="$uuid" -o device | grep -vxF "$2" | head -n 1)
    [ "$3" = copy ] || [ -n "$twin" ] || return 0
    new=$(cat /proc/sys/kernel/random/uuid)
    case $(probe PTTYPE "$1") in
    gpt) sfdisk --no-reread --no-tell-kernel -q --disk-id "$1" "$new" ;;
    dos) sfdisk --no-reread --no-tell-kernel -q --disk-id "$1" "0x$(printf %.8s "$new")" ;;
    esac
    for piece in $(parts_of "$1"); do
        number=$(cat "/sys/class/block/${piece##*/}/partition" 2>/dev/null)
        if [ "$(probe PTTYPE "$1")" = gpt ] && [ -n "$number" ]; then
            new=$(cat /proc/sys/kernel/random/uuid)
            sfdisk --no-reread --no-tell-kernel -q --part-uuid "$1" "$number" "$new"
        fi
        [ "$piece" != "$2" ] || continue
        case $(probe TYPE "$piece") in
        ext*) tune2fs -L '' "$piece" >/dev/null 2>&1 ;;
        vfat) fatlabel -r "$piece" >/dev/null 2>&1 || fatlabel "$piece" OLD >/dev/null 2>&1 ;;
        esac
    done
    command -v udevadm >/dev/null && udevadm trigger --settle --subsystem-match=block "$1" 2>/dev/null
    return 0
}

# ------------------------------------------------------------------ ~/volumes and fstab
choose_place() { # NAME: sets `at`
    home=$(getent passwd "$who" | cut -d: -f6)
    [ -n "$home" ] && [ -d "$home" ] || refuse "$who has no home"
    place=$home/volumes at=$home/volumes/$1
    [ ! -L "$place" ] || refuse "~/volumes is a link"
    [ -d "$place" ] || install -d -o "$who" -g "$(id -gn "$who")" "$place" || refuse "no ~/volumes"
    [ ! -L "$at" ] || refuse "~/volumes/$1 is a link"
    mounted_at "$at" && return
    [ ! -e "$at" ] || rmdir "$at" 2>/dev/null || refuse "~/volumes/$1 is there already, with something in it"
    install -d -o "$who" -g "$(id -gn "$who")" "$at" || refuse "no ~/volumes/$1"
}

ours() { # ID: the places that fstab names for it
    awk -v o="x-prism=$1" '!/^#/ { n = split($4, it, ","); for (i = 1; i <= n; i++)
        if (it[i] == o) print $2 }' "$fstab"
}

remember() { # ID PLACE LINE: the only line for either
    forget "$1" "$2"
    [ -z "$(tail -c 1 "$fstab")" ] || echo >>"$fstab"
    printf '%s\n' "$3" >>"$fstab"
    reload
}

forget() { # ID PLACE
    awk -v o="x-prism=$1" -v at="$2" '/^#/ { print; next } { mine = 0; any = 0
        n = split($4, it, ","); for (i = 1; i <= n; i++) { if (it[i] == o) mine = 1
        if (it[i] ~ /^x-prism=/) any = 1 } if (!(mine || (any && $2 == at))) print }' \
        "$fstab" >"$fstab.prism" && chmod 644 "$fstab.prism" || refuse "$fstab cannot be written"
    sync "$fstab.prism" 2>/dev/null
    mv "$fstab.prism" "$fstab" || refuse "$fstab cannot be written"
}

reload() {
    [ ! -d /run/systemd/system ] || systemctl daemon-reload 2>/dev/null
    return 0
}

users_of() { # PLACE: who has something open there
    find /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe /proc/[0-9]*/fd -maxdepth 1 \
        \( -lname "$1" -o -lname "$1/*" \) 2>/dev/null | cut -d/ -f3 | sort -un | head -n 5 |
        while read -r pid; do
            echo "$(cat "/proc/$pid/comm" 2>/dev/null) ($pid)"
        done | paste -sd, - | sed 's/,/, /g'
}

# ------------------------------------------------------------------ the verbs
disk() { # ID DEVICE GB NAME MADE
    found=$(find_disk "$1" "$2" "$3")
    [ -n "$found" ] || later "the device of $1 is not there yet"
    choose_place "$4"
    part=$(file_system_of "$found")
    if [ -z "$part" ]; then
        [ "$5" = new ] || refuse "there is no file system on it that can be mounted"
        make_file_system "$found"
        part=$found
    fi
    if ! mounted_at "$at"; then
        make_unique "$part" "$5" "$1"
        kind=$(probe TYPE "$part")
        words=$(mount -t "$kind" "$part" "$at" 2>&1) || refuse "mount: $words"
    fi
    mounted=$(findmnt -rno SOURCE -M "$at")
    [ "$mounted" = "$part" ] || refuse "something else is mounted there: $mounted"
    [ "$found" = "$part" ] || rename_parts "$found" "$part" "$5"
    if [ "$5" = new ] && [ "$(stat -c %u "$at")" = 0 ] && is_bare "$at"; then
        chown "$who:$(id -gn "$who")" "$at"
    fi
    options=defaults,nofail,x-systemd.device-timeout=30s,x-prism=$1
    remember "$1" "$at" "UUID=$(probe UUID "$part") $at $(probe TYPE "$part") $options 0 2"
}

is_bare() { # PLACE: nobody has put anything there
    [ -z "$(ls -A "$1" | grep -vx 'lost+found')" ]
}

share() { # ID ADDRESS NAME
    can_nfs || later "the programs for NFS are being installed"
    choose_place "$3"
    if ! mounted_at "$at"; then
        words=$(timeout 15 mount -t nfs4 -o "$NFS,retry=0" "$2:/" "$at" 2>&1) ||
            later "mount: ${words:-no answer from $2}"
    fi
    if [ "$(stat -c %u "$at")" = 0 ] && is_bare "$at"; then
        chown "$who:$(id -gn "$who")" "$at"
    fi
    remember "$1" "$at" "$2:/ $at nfs4 $NFS,_netdev,nofail,x-prism=$1 0 0"
}

can_nfs() {
    command -v mount.nfs4 >/dev/null && return
    log=/var/log/prism-nfs.log
    if mkdir /run/prism-nfs 2>/dev/null; then # one at a time, until the next boot
        (
            if command -v apt-get >/dev/null; then
                apt-get update -q
                DEBIAN_FRONTEND=noninteractive apt-get install -qy -o DPkg::Lock::Timeout=300 nfs-common
            else
                dnf install -qy nfs-utils
            fi
            rmdir /run/prism-nfs
        ) >"$log" 2>&1 &
    fi
    return 1
}

leave() { # ID
    found=$(find_disk "$1" "" 0)
    {
        ours "$1"
        [ -z "$found" ] || for part in "$found" $(parts_of "$found"); do
            findmnt -rno TARGET -S "$part"
        done
    } | sort -u | while read -r at; do
        if mounted_at "$at"; then
            sync -f "$at" 2>/dev/null
            umount "$at" 2>/dev/null || stop 16 "it is used by $(users_of "$at")"
        fi
        rmdir "$at" 2>/dev/null
        :
    done || exit $?
    forget "$1" ""
    reload
}

main() {
    verb=$1
    shift
    case $verb in
    disk | share | leave) "$verb" "$@" ;;
    *) refuse "nobody can $verb" ;;
    esac
}

main "$@" </dev/null

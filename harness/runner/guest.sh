#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Give a freshly booted guest what the kernel's own selftests expect to find:
#
#   guest.sh MODULE
#
# The root of the guest is the host's, over 9p and read-only. It has no extended
# attributes, no fs-verity, and forgets a file that is removed while it is open:
# /tmp becomes an ext4 that has them, in the guest's memory.
set -e

case $0 in /tmp/*)
	echo "the project lies below /tmp, where the guest has a file system of its own"
	exit 1
esac

image=/run/krsi-tmp.img
truncate -s 192M $image
mkfs.ext4 -q -F -O verity -b 4096 $image
mount -o loop $image /tmp
chmod 1777 /tmp

ip link set lo up
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
echo 0 >/proc/sys/kernel/unprivileged_bpf_disabled
insmod "$1"

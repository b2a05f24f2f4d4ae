#!/bin/busybox sh
# The first program of the guest, in its initial RAM file system: makes this machine's root readable and moves into it.
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys

while read -r module; do
    case $module in
    *.xz) $bb unxz "/modules/$module" ;;
    *.gz) $bb gunzip "/modules/$module" ;;
    esac
    $bb insmod "/modules/${module%.[xg]z}" || echo "lab: $module does not load"
done </modules/order

# Ports appear a moment after their module, under numbers that depend on what else the machine has.
port() {
    tries=0
    while [ $tries -lt 1000 ]; do
        for port in /sys/class/virtio-ports/*; do
            if [ "$($bb cat "$port/name" 2>/dev/null)" = "$1" ]; then
                $bb ln -s "${port##*/}" "/dev/lab-$1"
                return
            fi
        done
        $bb usleep 10000
        tries=$((tries + 1))
    done
    echo "lab: there is no port $1"
    # Without its ports the guest has nobody to talk to.
    $bb poweroff -f
}
port control
port out
port err
exec 3<>/dev/lab-control

fail() {
    echo "failed $*" >&3
    # The other side ends the machine when it has read this.
    $bb sleep 5
    $bb poweroff -f
}

# cache=loose: what lies below does not change under the guest's feet in a way that it would have to see.
$bb mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro root /lower || fail "no root over 9p"
$bb mount -t tmpfs -o size=75%,mode=755 writes /writes
$bb mkdir /writes/upper /writes/work
$bb mount -t overlay -o lowerdir=/lower,upperdir=/writes/upper,workdir=/writes/work root /new || fail "no overlay over the root"
$bb mount -t tmpfs -o mode=755 run /new/run
$bb mkdir /new/run/lab
$bb cp /bin/busybox /second.sh /job.sh /new/run/lab/
$bb mount --move /proc /new/proc
$bb mount --move /sys /new/sys
$bb mount --move /dev /new/dev
exec $bb switch_root /new /run/lab/busybox sh /run/lab/second.sh

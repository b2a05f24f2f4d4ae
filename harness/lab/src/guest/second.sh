# The guest's first program once it is in this machine's root: prepares what programs expect of a running system, runs the
# command, and tells its status on descriptor 3, where the other side also tells what signals to pass on.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
bb=/run/lab/busybox
. /run/lab/job.sh

fail() {
    echo "failed $*" >&3
    $bb sleep 5
    $bb poweroff -f
}

share() {
    $bb mkdir -p "$2"
    $bb mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=none,rw "$1" "$2" || fail "cannot share $2"
}

$bb mkdir -p /dev/shm /dev/pts "$data" "/lib/modules"
$bb mount -t tmpfs -o mode=1777 shm /dev/shm
$bb mount -t devpts -o ptmxmode=666,gid=5 devpts /dev/pts
$bb mount -t cgroup2 cgroup2 /sys/fs/cgroup
$bb hostname lab
$bb ifconfig lo up

# A kernel that lies elsewhere has its modules there too; modprobe(8) looks in one place only.
release=$($bb uname -r)
if [ "$modules" != "/lib/modules/$release" ] && [ -d "$modules" ]; then
    $bb mkdir -p "/lib/modules/$release"
    $bb mount -o bind "$modules" "/lib/modules/$release"
fi
# What the kernel does not load by itself when it is asked for by name of device or file system.
for module in ext4 loop dm-mod dm-thin-pool fuse; do
    modprobe -q "$module" 2>/dev/null
done

# Quotas where the kernel has them.
$bb mount -t ext4 -o noatime,prjquota /dev/vda "$data" || $bb mount -t ext4 -o noatime /dev/vda "$data" || fail "cannot mount the disk"
$bb mkdir -p -m 1777 "$data/tmp"
export TMPDIR="$data/tmp"
share_all
cd "$directory" || fail "there is no directory $directory"
echo ready >&3

# Signals from the other side go to the command's process group.
(
    while read -r signal <&3; do
        $bb kill -s "$signal" -- "-$($bb cat /run/lab/pid)" 2>/dev/null
    done
) &

# In a session of its own, and in the foreground: a shell makes background commands deaf to SIGINT.
$bb setsid $bb sh -c '. /run/lab/job.sh; echo $$ >/run/lab/pid; command' </dev/null >/dev/lab-out 2>/dev/lab-err 3>&-
status=$?
$bb sync
echo "status $status" >&3
$bb sleep 5
$bb poweroff -f

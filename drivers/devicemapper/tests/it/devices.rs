//! Pools on devices of their own.

use std::{fs, io, path::PathBuf};

use storage_driver::StorageDriver;
use storage_sys::loopdev::LoopDevice;

use crate::support::{Place, id, read, said, sealed};

fn device(place: &Place, name: &str, size: u64) -> (LoopDevice, PathBuf) {
    let path = place.path().join(name);
    fs::File::create(&path).and_then(|file| file.set_len(size)).unwrap();
    let device = LoopDevice::attach(&path).unwrap();
    let node = device.path().to_owned();
    (device, node)
}

fn attach(place: &Place, name: &str) -> io::Result<LoopDevice> {
    LoopDevice::attach(&place.path().join(name))
}

#[test]
fn privileged_one_device_is_split_and_found_again() {
    let place = Place::new();
    let (held, node) = device(&place, "one", 1 << 30);
    let node = node.to_str().unwrap();
    let options = [("device", node), ("block_size", "512K")];
    let driver = place.open(&options);
    sealed(&driver, "base", None, b"x");
    assert_eq!(driver.usage(&id("base")).unwrap().exclusive.get() % (512 << 10), 0);
    let names = place.devices();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(said("dmsetup", &["table", &place.device("data")]).contains("linear"));
    drop(driver);
    assert!(place.devices().is_empty());
    let refused = place.try_open(&[("device", node)]).map(drop).unwrap_err().to_string();
    assert!(refused.contains("block_size=524288"), "{refused}");
    let refused = place.try_open(&[("block_size", "512K")]).map(drop).unwrap_err().to_string();
    assert!(refused.contains("device="), "{refused}");
    let driver = place.open(&options);
    assert_eq!(read(&driver, &id("base"), "base"), b"x");
    drop(driver);
    drop(held);
}

#[test]
fn privileged_two_devices_and_their_growth() {
    let place = Place::new();
    let ((data, data_node), (metadata, metadata_node)) =
        (device(&place, "data-dev", 512 << 20), device(&place, "metadata-dev", 16 << 20));
    let options = [("data_device", data_node.to_str().unwrap()), ("metadata_device", metadata_node.to_str().unwrap())];
    let driver = place.open(&options);
    sealed(&driver, "base", None, b"x");
    assert!(driver.grow(storage_driver::Bytes(1 << 40), storage_driver::Bytes(0)).is_err());
    drop(driver);
    said("thin_check", &[metadata_node.to_str().unwrap()]);
    data.detach().unwrap();
    fs::File::options().write(true).open(place.path().join("data-dev")).unwrap().set_len(1 << 30).unwrap();
    let data = attach(&place, "data-dev").unwrap();
    let options = [("data_device", data.path().to_str().unwrap()), options[1]];
    let driver = place.open(&options);
    assert!(driver.status().pairs["pool data"].ends_with("1.07GB"), "{:?}", driver.status());
    assert_eq!(read(&driver, &id("base"), "base"), b"x");
    drop(driver);
    drop((data, metadata));
}

#[test]
fn privileged_a_device_that_holds_something_is_refused() {
    let place = Place::new();
    let (held, node) = device(&place, "one", 256 << 20);
    said("mkfs.ext4", &["-q", node.to_str().unwrap()]);
    let refused = place.try_open(&[("device", node.to_str().unwrap())]).map(drop).unwrap_err().to_string();
    assert!(refused.contains("holds data"), "{refused}");
    let refused = place.try_open(&[("device", "/dev/null")]).map(drop).unwrap_err().to_string();
    assert!(refused.contains("block device") || refused.contains("/dev/null"), "{refused}");
    drop(held);
}

#[test]
fn privileged_without_devtmpfs_nodes_are_made_and_taken_away() {
    // What a container's /dev has, at most. The kernel's own nodes of device-mapper's devices are not in it.
    let script = "mount -t tmpfs dev /dev && cd /dev && mknod null c 1 3 && mknod urandom c 1 9 && \
                  mknod loop-control c 10 237 && n=0 && while [ $n -lt 64 ]; do mknod loop$n b 7 $n; n=$((n + 1)); done && \
                  cd / && \"$0\" --exact lifecycle::privileged_a_layer_is_a_snapshot_and_nothing_stays && \
                  ls -A /dev/mapper && ! ls /dev/dm-*";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
    let output = command.output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && out.contains("1 passed"), "{output:?}");
    assert!(out.ends_with("\ncontrol\n"), "{out}");
}

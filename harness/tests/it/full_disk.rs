//! A data directory on a disk of 40 MB: what does not fit is told in one line, with the right status, and nothing is lost.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::place::{Answer, DRIVERS, Place, entries};

/// A small ext4 at the place's root, with an image in it.
pub struct Small {
    pub place: Place,
    image: PathBuf,
}

const SIZE: u64 = 40 << 20;

impl Small {
    pub fn new() -> Self {
        let place = Place::new();
        let image = place.dir.path().join("disk");
        fs::File::create(&image).unwrap().set_len(SIZE).unwrap();
        fs::create_dir(place.root()).unwrap();
        done(Command::new("mkfs.ext4").arg("-q").args(["-m", "0"]).arg(&image));
        done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(place.root()));
        let small = Self { place, image };
        let rootfs = small.place.dir.path().join("rootfs.tar");
        let bin = small.place.dir.path().join("rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).expect("install busybox-static");
        for name in ["sh", "cat", "head", "echo", "sleep"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        done(Command::new("tar").arg("-C").arg(bin.parent().unwrap()).arg("-cf").arg(&rootfs).arg("."));
        small.place.run(&["import", rootfs.to_str().unwrap(), "bb"]).ok();
        small
    }

    /// A file of so many MB that does not compress.
    fn noise(&self, name: &str, size: usize) -> PathBuf {
        let context = self.place.dir.path().join("context");
        fs::create_dir_all(&context).unwrap();
        let path = context.join(name);
        done(Command::new("sh").args(["-c", &format!("head -c {size}m /dev/urandom > {}", path.display())]));
        path
    }

    /// Everything that a command could leave: images, blobs, layers, containers.
    pub fn holds(&self, driver: &str) -> (String, usize, usize, usize) {
        let root = self.place.root();
        (
            self.place.run(&["images", "--no-trunc", "-q"]).ok().out,
            entries(&root.join("images/blobs/sha256")),
            entries(&root.join("drivers").join(driver).join("layers")),
            entries(&root.join("containers")),
        )
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // The driver's own mounts, if any, are the place's to complain of.
        let _ = Command::new("umount").arg(self.place.root()).status();
        let stays = || !Command::new("losetup").arg("-j").arg(&self.image).output().unwrap().stdout.is_empty();
        let deadline = Instant::now() + Duration::from_secs(120);
        while !std::thread::panicking() && stays() {
            assert!(Instant::now() < deadline, "a loop device stays");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// One line that says what is full.
fn is_told(answer: &Answer) {
    assert_eq!(answer.err.lines().count(), 1, "{answer:#?}");
    assert!(answer.err.starts_with("harness: ") && answer.err.contains("No space left on device"), "{answer:#?}");
}

#[test]
fn privileged_an_image_that_does_not_fit_is_not_imported() {
    let small = Small::new();
    let before = small.holds("vfs");
    let noise = small.noise("noise", 60);
    let tar = small.place.dir.path().join("big.tar");
    done(Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(noise.parent().unwrap()).arg("noise"));
    is_told(&small.place.run(&["import", tar.to_str().unwrap(), "big"]).status_is(2));
    assert_eq!(small.holds("vfs"), before);
    // There is room again at once.
    small.place.container(&["--driver", "vfs", "--rm"], &["bb", "/bin/echo", "x"]).ok();
}

#[test]
fn privileged_a_build_that_does_not_fit_leaves_what_was_there() {
    for driver in DRIVERS {
        let small = Small::new();
        small.noise("noise", 60);
        let context = |dockerfile: &str| small.place.context(&[("Dockerfile", dockerfile)]);
        let build = |dockerfile: &str| {
            let context = context(dockerfile);
            small.place.run(&["build", "-q", "--driver", driver, context.to_str().unwrap()])
        };
        small.place.container(&["--driver", driver, "--rm"], &["bb", "/bin/echo"]).ok();
        let before = small.holds(driver);
        // What is copied in does not fit.
        is_told(&build("FROM bb\nCOPY noise /noise\n").status_is(2));
        assert_eq!(small.holds(driver), before, "{driver}");
        // What a step makes fits, and its layer's tar beside it does not.
        is_told(&build("FROM bb\nRUN head -c 22m /dev/zero > /zeroes\n").status_is(2));
        assert_eq!(small.holds(driver), before, "{driver}");
        // The step itself is told, and fails as it does anywhere.
        let failed = build("FROM bb\nRUN head -c 60m /dev/zero > /zeroes\n").status_is(1);
        failed.says("Dockerfile:2").says("the command ended with status 1");
        assert_eq!(small.holds(driver), before, "{driver}");
        small.place.container(&["--driver", driver, "--rm"], &["bb", "/bin/echo"]).ok();
        assert_eq!(small.place.run(&["gc"]).ok().out, "nothing was left behind\n");
    }
}

#[test]
fn privileged_a_container_that_does_not_fit_is_not_started() {
    let small = Small::new();
    let noise = small.noise("noise", 14);
    let tar = small.place.dir.path().join("medium.tar");
    done(Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(noise.parent().unwrap()).arg("noise"));
    small.place.run(&["import", tar.to_str().unwrap(), "medium"]).ok();
    // The image's layer fits beside its blob, a container's copy of it does not.
    let refused = small.place.container(&["--driver", "vfs"], &["medium", "/noise"]).status_is(125);
    is_told(&refused);
    assert_eq!(small.place.run(&["ps", "-aq"]).ok().out, "");
    assert_eq!(small.place.run(&["images", "-q"]).ok().out.lines().count(), 2);
    assert_eq!(entries(&small.place.root().join("drivers/vfs/staging")), 0);
    small.place.run(&["rmi", "medium"]).ok();
    small.place.container(&["--driver", "vfs", "--rm"], &["bb", "/bin/echo"]).ok();
    // One that fills the disk itself is told by its own program.
    let script = "head -c 60m /dev/zero > /zeroes || { echo full; exit 4; }";
    for driver in DRIVERS {
        let filled = small.place.container(&["--driver", driver, "--rm"], &["bb", "/bin/sh", "-c", script]);
        assert_eq!(filled.status_is(4).out, "full\n");
    }
}

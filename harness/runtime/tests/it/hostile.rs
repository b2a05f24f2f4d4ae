//! Images that try to lead the runtime out of them.

use std::{fs, os::unix::fs::symlink, path::Path};

use harness_runtime::config::{Bind, ContainerConfig, Tmpfs};

use crate::rootfs::{Rootfs, run, start, text};

crate::tests![
    privileged_links_in_place_of_kernel_file_systems_are_refused,
    privileged_targets_stay_in_the_image,
    privileged_targets_inside_proc_are_refused,
    privileged_working_directories_stay_in_the_image,
    privileged_users_come_from_the_image_only,
    privileged_dangling_targets_are_refused,
];

fn replace_by_link(rootfs: &Rootfs, name: &str, target: &str) {
    fs::remove_dir(rootfs.path().join(name)).unwrap();
    symlink(target, rootfs.path().join(name)).unwrap();
}

fn privileged_links_in_place_of_kernel_file_systems_are_refused() {
    for name in ["proc", "sys", "dev"] {
        for target in ["/etc", "..", "../../../../../..", "/", "/tmp/none"] {
            let rootfs = Rootfs::new();
            replace_by_link(&rootfs, name, target);
            let error = start(&rootfs.program(&["true"])).unwrap_err().to_string();
            assert!(error.contains(&format!("/{name}")), "{error}");
            assert_eq!(mounts_on(&[rootfs.path(), Path::new("/etc"), Path::new("/tmp/none")]), [""; 0]);
        }
    }
}

/// The host's mount points that are one of `places` or below.
fn mounts_on(places: &[&Path]) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned);
    points.filter(|point| places.iter().any(|place| Path::new(point).starts_with(place))).collect()
}

/// The outside has a directory of the same absolute path as the one that the image's link names.
fn privileged_targets_stay_in_the_image() {
    let outside = tempfile::tempdir().unwrap();
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("file"), "bound").unwrap();
    for link in [outside.path().to_str().unwrap().to_owned(), format!("../../../../../..{}", outside.path().display())]
    {
        let rootfs = Rootfs::new();
        let inside = rootfs.path().join(outside.path().strip_prefix("/").unwrap());
        fs::create_dir_all(&inside).unwrap();
        symlink(&link, rootfs.path().join("link")).unwrap();
        let script = format!("cat {0}/sub/file {0}/one; ls -A /link/t; touch /link/t/x", outside.path().display());
        let mut config = rootfs.shell(&script);
        let file = source.path().join("file");
        config.binds = vec![Bind::new(source.path(), "/link/sub"), Bind::new(file, "/link/one")];
        config.tmpfs = vec![Tmpfs { target: "/link/t".into(), options: vec![] }];
        let output = run(&config);
        assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str()), ("boundbound", ""), "{link}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "nothing was made outside");
    }
}

fn privileged_targets_inside_proc_are_refused() {
    let rootfs = Rootfs::new();
    let source = tempfile::tempdir().unwrap();
    symlink("/proc/sys", rootfs.path().join("link")).unwrap();
    symlink("/proc/self/root/proc/self", rootfs.path().join("magic")).unwrap();
    for target in ["/link", "/link/kernel", "/magic", "/proc/self/attr"] {
        let mut config = rootfs.program(&["true"]);
        config.binds = vec![Bind::new(source.path(), target)];
        let error = start(&config).unwrap_err().to_string();
        assert!(error.contains(target), "{error}");
    }
}

fn privileged_working_directories_stay_in_the_image() {
    let outside = tempfile::tempdir().unwrap();
    let rootfs = Rootfs::new();
    for (index, link) in ["/proc/self/fd/3", "/proc/self/fd/5", "/proc/1/cwd/..", "../../../.."].into_iter().enumerate()
    {
        symlink(link, rootfs.path().join(format!("cwd{index}"))).unwrap();
        for cwd in [format!("/cwd{index}"), link.replace("../../../..", "/../../..")] {
            let config = ContainerConfig { cwd: cwd.into(), ..rootfs.shell("ls -d work var 2>/dev/null; pwd") };
            if let Ok(container) = start(&config) {
                assert_eq!(text(&container.output(1000).unwrap().stdout), "/", "{link}");
            }
        }
    }
    let target = outside.path().join("made");
    symlink(&target, rootfs.path().join("new")).unwrap();
    let config = ContainerConfig { cwd: "/new/x".into(), ..rootfs.program(&["true"]) };
    let _ = start(&config);
    assert!(!target.exists());
}

fn privileged_users_come_from_the_image_only() {
    let rootfs = Rootfs::new();
    for file in ["passwd", "group"] {
        let path = rootfs.path().join("etc").join(file);
        fs::remove_file(&path).unwrap();
        symlink(Path::new("../../../../../../../..").join("etc").join(format!("{file}-")), path).unwrap();
    }
    let config = ContainerConfig { user: Some("daemon".into()), ..rootfs.program(&["true"]) };
    assert!(harness_runtime::config::spec(&config).is_err());
}

fn privileged_dangling_targets_are_refused() {
    let rootfs = Rootfs::new();
    let source = tempfile::tempdir().unwrap();
    symlink("/does/not/exist", rootfs.path().join("link")).unwrap();
    let mut config = rootfs.program(&["true"]);
    config.binds = vec![Bind::new(source.path(), "/link")];
    assert!(start(&config).is_err());
    assert!(!rootfs.path().join("does").exists());
}

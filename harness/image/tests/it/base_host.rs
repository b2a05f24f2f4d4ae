use std::{
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Output},
};

use harness_image::base::host;
use storage_layer::{ApplyOptions, apply};
use tempfile::TempDir;

use crate::support::Fixture;

fn unpacked(fixture: &Fixture) -> TempDir {
    let image = host(&fixture.store).unwrap().image;
    let root = tempfile::tempdir().unwrap();
    let mut tar = fixture.store.blobs().open_verified(&image.layers()[0].digest).unwrap();
    apply(root.path(), &mut tar, &ApplyOptions::default()).unwrap();
    root
}

fn in_root(root: &Path, script: &str) -> Output {
    // An empty environment: nothing of this machine leads out of the root.
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let root = root.to_str().unwrap();
    Command::new("env").args(["-i", path, "chroot", root, "/bin/sh", "-ec", script]).output().unwrap()
}

#[test]
fn the_same_machine_gives_the_same_image() {
    let fixture = Fixture::new();
    let first = host(&fixture.store).unwrap();
    let second = host(&fixture.store).unwrap();
    assert_eq!(first, second);
    assert_eq!(fixture.store.list().unwrap().len(), 1);
    assert!(first.tools.iter().any(|tool| tool == "sh"));
}

#[test]
fn privileged_every_tool_of_the_host_image_starts() {
    let fixture = Fixture::new();
    let root = unpacked(&fixture);
    for tool in host(&fixture.store).unwrap().tools {
        // Asked for help each exits at once; 127 is a missing program or library.
        let output =
            in_root(root.path(), &format!("command -v '{tool}' >/dev/null || exit 127; '{tool}' --help </dev/null"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(127), "{tool}: {errors}");
        assert!(!errors.contains("shared librar"), "{tool}: {errors}");
    }
}

#[test]
fn privileged_the_host_image_runs_what_dockerfiles_run() {
    let fixture = Fixture::new();
    let root = unpacked(&fixture);
    let script = "
        mkdir -p /app/src && cd /app && echo 'hello: ; @echo built > hello' > Makefile
        for n in $(seq 3); do echo $n | tr 123 abc > src/$n; done
        cat src/* | sort -r | awk '{ printf \"%s\", $1 }' > out && sed -i s/c/C/ out
        tar -C src -cf - . | gzip -c > src.tgz && tar -tzf src.tgz | wc -l >> out
        if command -v make >/dev/null; then make -s hello; else echo built > hello; fi
        cat hello >> out; id -un >> out; id -un nobody >> out
        find src -type f | xargs rm; rmdir src; stat -c %a /tmp >> out; cat out";
    let output = in_root(root.path(), script);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Cba4\nbuilt\nroot\nnobody\n1777\n");
}

#[test]
fn privileged_nothing_in_the_host_image_belongs_to_anybody_else_or_gains_privileges() {
    let fixture = Fixture::new();
    let root = unpacked(&fixture);
    let mut waiting = vec![root.path().to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = path.symlink_metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (0, 0), "{}", path.display());
        if metadata.is_dir() {
            waiting.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(metadata.mode() & 0o6000, 0, "{}", path.display());
        }
    }
}

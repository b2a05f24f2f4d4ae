//! Which files COPY takes, and with which modes.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use crate::place::{DRIVERS, Place, cached};

crate::tests!(
    privileged_two_stars_take_files_of_all_depths,
    privileged_modes_are_changed,
    privileged_malformed_patterns_are_pointed_at,
    privileged_ignored_files_stay_out,
    privileged_a_linked_layer_does_not_depend_on_what_is_below,
    privileged_a_context_with_fifos_and_links_out,
);

/// All paths below a directory, sorted.
fn all(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(root).unwrap().display().to_string());
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                pending.push(path);
            }
        }
    }
    found.sort();
    found
}

fn privileged_two_stars_take_files_of_all_depths() {
    let place = Place::new("overlay2");
    for name in ["x/1.txt", "x/a/2.txt", "x/a/b/3.txt", "x/a/b/no.md", "y/4.txt", "5.txt"] {
        place.file(name, name);
    }
    symlink("1.txt", place.context().join("x/link.txt")).unwrap();
    let built = place.build("FROM scratch\nCOPY --parents x/**/*.txt ./x/./**/3.txt /to/\n");
    let x = ["x", "x/1.txt", "x/a", "x/a/2.txt", "x/a/b", "x/a/b/3.txt", "x/link.txt"];
    place.look(&built.image, |root| {
        assert_eq!(all(&root.join("to")), [&["a", "a/b", "a/b/3.txt"][..], &x].concat());
        assert_eq!(fs::read_link(root.join("to/x/link.txt")).unwrap(), Path::new("1.txt"));
    });
    place.file("x/new/6.txt", "");
    assert_eq!(cached(&place.build("FROM scratch\nCOPY --parents x/**/*.txt ./x/./**/3.txt /to/\n")), 0);
    // A directory comes whole, and one that is in another one comes once.
    let built = place.build("FROM scratch\nCOPY --parents **/a /to/\n");
    place.look(&built.image, |root| {
        assert_eq!(all(&root.join("to")), ["x", "x/a", "x/a/2.txt", "x/a/b", "x/a/b/3.txt", "x/a/b/no.md"]);
    });
    // A pattern may match nothing; a name may not.
    let built = place.build("FROM scratch\nCOPY --parents x/**/*.nope /to/\nCOPY *.nope 5.txt /\n");
    place.look(&built.image, |root| assert_eq!(all(root), ["5.txt"]));
    for refused in ["--parents x/none", "5.txt x/none"].map(|words| format!("FROM scratch\nCOPY {words} /to/\n")) {
        let refused = place.refused(&refused);
        assert!(refused.contains("it is not in the build context"), "{refused}");
    }
    // Without --parents they are one name, as in Go.
    let built = place.build("FROM scratch\nCOPY x/**/*.txt /to/\n");
    place.look(&built.image, |root| assert_eq!(all(&root.join("to")), ["2.txt", "6.txt"]));
}

fn privileged_modes_are_changed() {
    let place = Place::new("vfs");
    place.file("d/run", "");
    place.file("d/data", "");
    for (name, mode) in [("d/run", 0o700), ("d/data", 0o600), ("d", 0o700)] {
        fs::set_permissions(place.context().join(name), Permissions::from_mode(mode)).unwrap();
    }
    let dockerfile = |mode: &str| format!("FROM scratch\nCOPY --chmod={mode} d /d\nCOPY --chmod={mode} <<E /e\nE\n");
    let built = place.build(&dockerfile("go=u,o-w,a-X"));
    place.look(&built.image, |root| {
        let mode = |name: &str| fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("d/run"), mode("d/data"), mode("e")), (0o664, 0o664, 0o664));
    });
    let built = place.build(&dockerfile("u=rwX,go=rX"));
    place.look(&built.image, |root| {
        let mode = |name: &str| fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("d/run"), mode("d/data"), mode("e")), (0o755, 0o644, 0o644));
    });
    assert_eq!(cached(&place.build(&dockerfile("u=rwX,go=rX"))), 2);
    let refused = place.refused("FROM scratch\nCOPY --chmod=u=q d /d\n");
    assert!(refused.contains("Dockerfile:2:6: --chmod takes a mode such as 755 or u=rwX"), "{refused}");
}

fn privileged_malformed_patterns_are_pointed_at() {
    let place = Place::new("vfs");
    place.file("f", "");
    let refused = place.refused("FROM scratch\nCOPY f [a- /to/\n");
    assert!(refused.contains("Dockerfile:2:8: \"[a-\" is no pattern"), "{refused}");
    let refused = place.refused("FROM scratch\nCOPY --exclude=x --exclude=[ . /to/\n");
    assert!(refused.contains("Dockerfile:2:28: \"[\" is no pattern"), "{refused}");
    place.file(".dockerignore", "x\n!\n");
    let refused = place.refused("FROM scratch\nCOPY f /\n");
    assert!(refused.starts_with(".dockerignore:2:1: ! takes nothing back") && refused.contains("2 | !"), "{refused}");
}

fn privileged_ignored_files_stay_out() {
    let place = Place::new("overlay2");
    for name in ["a/b/f.log", "a/keep.log", "b/c", "c", "logs/x", "logs/deep/y"] {
        place.file(name, "");
    }
    place.file(".dockerignore", "**.log\n!a/keep.log\n../c\nlogs/**\n.dockerignore\nDockerfile\n");
    let built = place.build("FROM scratch\nCOPY . /to/\n");
    place.look(&built.image, |root| {
        assert_eq!(all(&root.join("to")), ["a", "a/b", "a/keep.log", "b", "b/c", "c", "logs"]);
    });
    // What .dockerignore leaves out, --exclude does not take back.
    let built = place.build("FROM scratch\nCOPY --exclude=keep* --exclude=!b/f.log a /to/\n");
    place.look(&built.image, |root| assert_eq!(all(&root.join("to")), ["b"]));
}

/// Nothing waits for a writer, and no link leads out of the context.
fn privileged_a_context_with_fifos_and_links_out() {
    let place = Place::new("overlay2");
    place.file("dir/f", "");
    let fifo = place.context().join("dir/fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let built = place.build("FROM scratch\nCOPY dir /dir\nADD dir/fifo /single\n");
    place.look(&built.image, |root| {
        use std::os::unix::fs::FileTypeExt;
        for name in ["dir/fifo", "single"] {
            assert!(fs::symlink_metadata(root.join(name)).unwrap().file_type().is_fifo(), "{name}");
        }
    });
    let ignore = place.context().join(".dockerignore");
    for target in ["/etc/hostname", "dir/fifo", "nowhere"] {
        symlink(target, &ignore).unwrap();
        let refused = place.refused("FROM scratch\nCOPY dir /dir\n");
        assert!(refused.starts_with("cannot read ") && !refused.contains("| "), "{refused}");
        fs::remove_file(&ignore).unwrap();
    }
}

/// The layer holds what it would on top of nothing, and lies on what there is as the layers of two images would.
fn privileged_a_linked_layer_does_not_depend_on_what_is_below() {
    for driver in DRIVERS {
        let place = Place::new(driver);
        place.file("f", "new");
        place.file("d/in", "in");
        place.file("one/dir/old", "old");
        place.file("one/file/sub", "");
        place.file("one/tmp/kept", "");
        place.file("one/real/kept", "");
        symlink("/real", place.context().join("one/link")).unwrap();
        fs::set_permissions(place.context().join("one/tmp"), Permissions::from_mode(0o1777)).unwrap();
        place.file("two/dir/other", "other");
        let linked = "COPY --link f /link/f\nADD --link --chmod=640 --chown=5:6 f /tmp/\n\
                      COPY --link d /dir\nCOPY --link f /file\n";
        let built = place.build(&format!("FROM scratch\nCOPY one /\n{linked}"));
        place.look(&built.image, |root| {
            assert!(fs::symlink_metadata(root.join("link")).unwrap().is_dir(), "{driver}: a link was followed");
            assert_eq!(all(&root.join("real")), ["kept"]);
            assert_eq!(all(&root.join("dir")), ["in", "old"], "{driver}: directories are put together");
            assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "new");
            let mode = |name: &str| fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(
                (mode("tmp"), mode("tmp/f")),
                (0o755, 0o640),
                "{driver}: directories on the way are the layer's"
            );
        });
        let other = place.build(&format!("FROM scratch\nCOPY two /\n{linked}"));
        let cached: Vec<bool> = other.steps.iter().map(|step| step.cached).collect();
        assert_eq!(cached, [false, true, true, true, true], "{driver}: they are the same on whatever there is");
        place.layers.ensure(&other.image).unwrap();
        place.look(&other.image, |root| assert_eq!(all(&root.join("dir")), ["in", "other"]));
        let refused = place.refused("FROM scratch\nCOPY one /\nCOPY --link --chown=root f /f\n");
        assert!(refused.contains("Dockerfile:3:13"), "{refused}");
    }
}

//! A container's files, from outside: what changed, copies in and out, the whole as a tar, an image of it.

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::place::{Answer, DRIVERS, Place};

/// Makes a container that has run a script, and one that runs after it.
fn both(place: &Place, driver: &str, script: &str) {
    let run = |name: &str, more: &[&str], script: &str| {
        let options = [&["--driver", driver, "--name", name], more].concat();
        place.container(&options, &["host", "sh", "-c", script]).ok();
    };
    run("ended", &[], script);
    run("runs", &["-d"], &format!("{script}; touch /ready; exec sleep 1000"));
    let deadline = Instant::now() + Duration::from_secs(120);
    while place.with_words("exec", &[], &["runs", "test", "-e", "/ready"]).status != 0 {
        assert!(Instant::now() < deadline, "it never got ready");
        thread::sleep(Duration::from_millis(20));
    }
}

const NAMES: [&str; 2] = ["ended", "runs"];

fn cp(place: &Place, from: &str, to: &str) -> Answer {
    place.run(&["cp", from, to])
}

/// What `find` says of a directory, without its times.
fn tree(dir: &Path) -> String {
    let output = Command::new("find").arg(".").args(["-printf", "%p %y %m %U %l\n"]).current_dir(dir).output().unwrap();
    let mut lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn privileged_changes_are_listed_while_it_runs_and_afterwards() {
    for driver in DRIVERS {
        let place = Place::new();
        both(&place, driver, "mkdir /new; echo a > /new/file; rm /etc/passwd; chmod 700 /etc/group");
        for name in NAMES {
            let out = place.run(&["diff", name]).ok().out;
            for line in ["A /new", "A /new/file", "D /etc/passwd", "C /etc/group", "C /etc"] {
                assert!(out.lines().any(|found| found == line), "no {line:?} in {out}");
            }
            assert!(!out.lines().any(|line| line == "C /" || line == "A /"), "{out}");
        }
        place.run(&["diff", "nothing"]).status_is(1).says("no such container");
    }
}

#[test]
fn privileged_its_files_are_a_tar() {
    for driver in DRIVERS {
        let place = Place::new();
        both(&place, driver, "mkdir /new; echo a > /new/file; rm /etc/group; ln /new/file /new/link");
        for name in NAMES {
            let file = place.dir.path().join("out.tar");
            place.run(&["export", "-o", file.to_str().unwrap(), name]).ok();
            let piped = place.command(&["export", name]).output().unwrap();
            assert!(piped.status.success() && piped.stdout == fs::read(&file).unwrap());
            let listed = Command::new("tar").arg("-tvf").arg(&file).output().unwrap();
            let listed = String::from_utf8(listed.stdout).unwrap();
            assert!(listed.contains(" new/file") && listed.contains(" new/link link to new/file"), "{listed}");
            assert!(listed.contains("etc/passwd") && !listed.contains("etc/group\n"), "{listed}");
        }
        let nowhere = place.dir.path().join("nowhere/x.tar");
        place.run(&["export", "-o", nowhere.to_str().unwrap(), "ended"]).status_is(1).says("nowhere");
    }
}

#[test]
fn privileged_an_image_is_made_of_its_changes() {
    for driver in DRIVERS {
        let place = Place::new();
        both(&place, driver, "mkdir -p /new; echo a > /new/file; rm /etc/group");
        for name in NAMES {
            let words =
                ["commit", "-a", "Me", "-m", "some text", "-c", "ENV A=b", "-c", "CMD [\"cat\", \"/new/file\"]"];
            let id = place.run(&[&words[..], &[name, &format!("made:{name}")]].concat()).ok().out;
            assert!(id.starts_with("sha256:"), "{id}");
            let image = format!("made:{name}");
            let options = ["--rm", "--driver", driver, image.as_str()];
            assert_eq!(place.container(&options, &[]).ok().out, "a\n");
            let script = "echo $A; test -e /etc/group || echo gone";
            assert_eq!(place.container(&options, &["sh", "-c", script]).ok().out, "b\ngone\n");
            let history = place.run(&["history", "--no-trunc", &image]).ok().out;
            assert!(history.contains("some text"), "{history}");
            // Another one of it stands on the same layers.
            place.container(&["--driver", driver, "--name", "next", &image], &["touch", "/more"]).ok();
            place.run(&["commit", "next", "made:next"]).ok();
            let next = ["--rm", "--driver", driver, "made:next"];
            assert_eq!(place.container(&next, &["sh", "-c", "ls /more; cat /new/file"]).ok().out, "/more\na\n");
            place.run(&["rm", "next"]).ok();
        }
        let state = place.run(&["inspect", "--format", "{{.State.Status}}", "runs"]).ok().out;
        assert_eq!(state.trim(), "running", "it goes on after the pause");
        place.run(&["commit", "--pause=false", "runs"]).ok();
        place.run(&["commit", "-c", "RUN true", "ended"]).status_is(2).says("RUN");
        place.run(&["commit", "ended", "Bad Name"]).status_is(2);
    }
}

#[test]
fn privileged_files_are_copied_by_docker_s_rules() {
    for driver in DRIVERS {
        let place = Place::new();
        both(&place, driver, "mkdir -p /dir/sub /empty; echo one > /dir/one; echo two > /dir/sub/two; ln -s dir /link");
        let here = place.dir.path();
        for name in NAMES {
            let at = |path: &str| format!("{name}:{path}");
            let out = here.join(name);
            fs::create_dir(&out).unwrap();
            let to = |path: &str| out.join(path).to_str().unwrap().to_owned();
            let read = |path: &str| fs::read_to_string(out.join(path)).unwrap();
            // Out of it: a file, over a file, into a directory; relative paths are below the root.
            cp(&place, &at("/dir/one"), &to("file")).ok();
            assert_eq!(read("file"), "one\n");
            cp(&place, &at("dir/sub/two"), &to("file")).ok();
            assert_eq!(read("file"), "two\n");
            cp(&place, &at("/dir/one"), &to("")).ok();
            assert_eq!(read("one"), "one\n");
            // A directory: as a new one, into one, what is in it.
            cp(&place, &at("/dir"), &to("new")).ok();
            assert_eq!(read("new/sub/two"), "two\n");
            cp(&place, &at("/dir/"), &to("new")).ok();
            assert_eq!(read("new/dir/one"), "one\n");
            fs::create_dir(out.join("flat")).unwrap();
            cp(&place, &at("/dir/."), &to("flat")).ok();
            assert_eq!(read("flat/sub/two"), "two\n");
            // A link, or what it leads to.
            cp(&place, &at("/link"), &to("as-link")).ok();
            assert_eq!(fs::read_link(out.join("as-link")).unwrap(), Path::new("dir"));
            place.run(&["cp", "-L", &at("/link"), &to("followed")]).ok();
            assert_eq!(read("followed/one"), "one\n");
            cp(&place, &at("/link/"), &to("slash")).ok();
            assert_eq!(read("slash/one"), "one\n");

            // Into it, and out again.
            std::os::unix::fs::chown(out.join("new"), Some(33), Some(33)).unwrap();
            fs::set_permissions(out.join("new"), fs::Permissions::from_mode(0o750)).unwrap();
            cp(&place, &to("new"), &at("/empty")).ok();
            cp(&place, &to("new"), &at("/made")).ok();
            cp(&place, &to("new/."), &at("/made2")).ok();
            place.run(&["cp", "-a", &to("new"), &at("/kept")]).ok();
            cp(&place, &to("file"), &at("/link")).ok();
            cp(&place, &at("/"), &to("all")).ok();
            let all = tree(&out.join("all"));
            for line in [
                "./empty/new d 750 0 ",
                "./empty/new/sub/two f 644 0 ",
                "./made d 750 0 ",
                "./made2/dir/one f 644 0 ",
                "./dir/file f 644 0 ",
            ] {
                assert!(all.lines().any(|found| found == line), "no {line:?} in {all}");
            }
            place.run(&["cp", "-a", &at("/kept"), &to("kept")]).ok();
            assert_eq!(fs::metadata(out.join("kept")).unwrap().uid(), 33);
            // What docker refuses.
            for (from, target, says) in [
                (at("/nothing"), to(""), "no such file"),
                (at("/dir/one/"), to(""), "not a directory"),
                (at("/dir/one/."), to(""), "not a directory"),
                (at("/dir"), to("file"), "does not replace a file"),
                (at("/dir/one"), to("missing/"), "destination directory has to exist"),
                (at("/dir/one"), to("missing/below/x"), "no such directory"),
                (at("/dir/one"), to("file/"), "not a directory"),
                (to("nothing"), at("/"), "no such file"),
                (to("new"), at("/dir/one"), "does not replace a file"),
                (to("file"), at("/missing/"), "destination directory has to exist"),
                (to("file"), at("/missing/below/x"), "no such directory"),
            ] {
                cp(&place, &from, &target).status_is(1).says(says);
            }
            cp(&place, &at("/a"), &at("/b")).status_is(2).says("between containers");
        }
        cp(&place, "/a", "/b").status_is(2).says("CONTAINER:PATH");
        cp(&place, "nothing:/a", "/b").status_is(1).says("no such container");
    }
}

/// The names in a tar.
fn names(tar: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), tar).unwrap();
    String::from_utf8(Command::new("tar").arg("-tf").arg(file.path()).output().unwrap().stdout).unwrap()
}

#[test]
fn privileged_tars_go_in_and_come_out() {
    for driver in DRIVERS {
        let place = Place::new();
        both(
            &place,
            driver,
            "mkdir -p /dir/sub /to; echo two > /dir/sub/two; ln /dir/sub/two /dir/link; ln -s dir /leads",
        );
        for name in NAMES {
            let tar = place.command(&["cp", &format!("{name}:/dir"), "-"]).output().unwrap().stdout;
            let give = |to: &str, tar: &[u8]| {
                let mut child =
                    place.command(&["cp", "-", to]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
                let _ = child.stdin.take().unwrap().write_all(tar);
                Answer::of(&child.wait_with_output().unwrap())
            };
            give(&format!("{name}:/to"), &tar).ok();
            let out = place.dir.path().join(format!("{name}-out"));
            cp(&place, &format!("{name}:/to"), out.to_str().unwrap()).ok();
            assert_eq!(fs::read_to_string(out.join("dir/sub/two")).unwrap(), "two\n");
            let one = |path| fs::metadata(out.join(path)).unwrap().ino();
            assert_eq!(one("dir/link"), one("dir/sub/two"));
            let file = place.command(&["cp", "-L", &format!("{name}:/leads/link"), "-"]).output().unwrap().stdout;
            assert_eq!(names(&file), "link\n");
            let contents = place.command(&["cp", &format!("{name}:/dir/sub/."), "-"]).output().unwrap().stdout;
            assert_eq!(names(&contents), "two\n");
            assert_eq!(names(&tar), "dir/\ndir/link\ndir/sub/\ndir/sub/two\n");
            give(&format!("{name}:/dir/link"), &tar).status_is(1).says("a directory that is there");
            give(&format!("{name}:/to"), b"no tar").status_is(1);
        }
    }
}

#[test]
fn privileged_links_of_a_container_do_not_lead_out() {
    for driver in DRIVERS {
        let place = Place::new();
        let here = place.dir.path();
        let secret = here.join("secret");
        fs::write(&secret, "secret").unwrap();
        fs::create_dir(here.join("outside")).unwrap();
        let outside = here.join("outside").to_str().unwrap().to_owned();
        let up = format!("../../../../../../../../..{outside}");
        let script = format!(
            "ln -s {outside} /absolute; mkdir /sub; ln -s {up} /sub/up; ln -s {} /file; ln -s /proc/1/root /magic; \
             ln -s /proc/self/cwd /cwd; mkdir /evil; ln -s {outside} /evil/dir; ln -s loop /loop",
            secret.display()
        );
        both(&place, driver, &script);
        let file = here.join("file");
        fs::write(&file, "mine").unwrap();
        fs::create_dir_all(here.join("tree/dir")).unwrap();
        fs::write(here.join("tree/dir/x"), "mine").unwrap();
        let from = file.to_str().unwrap().to_owned();
        for name in NAMES {
            let at = |path: &str| format!("{name}:{path}");
            let out = here.join(format!("{name}-out"));
            fs::create_dir(&out).unwrap();
            let to = out.to_str().unwrap().to_owned();
            // There is no such place in the container.
            for path in ["/absolute/x", "/sub/up/x", "/loop", "/loop/x"] {
                assert_eq!(cp(&place, &from, &at(path)).status, 1, "{path}");
            }
            for path in ["/absolute/../secret", "/absolute/", "/loop/"] {
                assert_eq!(cp(&place, &at(path), &to).status, 1, "{path}");
            }
            place.run(&["cp", "-L", &at("/file"), &to]).status_is(1).says("no such");
            // A link is copied as one, and what is below one in a tree is not followed.
            cp(&place, &at("/file"), &to).ok();
            assert_eq!(fs::read_link(out.join("file")).unwrap(), secret);
            cp(&place, here.join("tree/.").to_str().unwrap(), &at("/evil")).status_is(1);
            // Those of proc are no way out either.
            let _ = cp(&place, &from, &at("/magic/written"));
            let _ = cp(&place, &from, &at("/cwd/written"));
            assert!(!Path::new("/written").exists());
            // Where a copy's target is a link here, it is the user's own.
            symlink("elsewhere", out.join("own")).unwrap();
            cp(&place, &at("/etc/passwd"), out.join("own").to_str().unwrap()).ok();
            assert!(out.join("elsewhere").is_file());
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    }
}

#[test]
fn privileged_volumes_are_where_the_container_has_them() {
    let place = Place::new();
    let here = place.dir.path();
    fs::create_dir(here.join("bound")).unwrap();
    let bound = format!("{}:/bound:ro", here.join("bound").display());
    let options = ["--name", "it", "-v", "data:/data", "-v", &bound, "--tmpfs", "/ram"];
    fs::write(here.join("file"), "mine").unwrap();
    let file = here.join("file").to_str().unwrap().to_owned();
    place.container(&[&options[..], &["-d"]].concat(), &["host", "sh", "-c", "exec sleep 1000"]).ok();
    cp(&place, &file, "it:/data/running").ok();
    place.with_words("exec", &[], &["it", "ln", "-s", "data", "/leads"]).ok();
    cp(&place, &file, "it:/leads/by-link").ok();
    place.with_words("exec", &[], &["it", "cat", "/data/running", "/data/by-link"]).ok();
    cp(&place, &file, "it:/bound/x").status_is(1).says("ead-only");
    place.run(&["stop", "-t", "0", "it"]).ok();
    cp(&place, &file, "it:/data").ok();
    cp(&place, &file, "it:/bound/x").status_is(1).says("read-only");
    cp(&place, "it:/data/running", here.join("back").to_str().unwrap()).ok();
    assert!(place.root().join("volumes/data/_data/file").exists() && here.join("back").exists());
    assert_eq!(fs::read_dir(here.join("bound")).unwrap().count(), 0);
    place.container(&["--name", "ro", "--read-only"], &["host", "true"]).ok();
    cp(&place, &file, "ro:/tmp/x").status_is(1).says("read-only");
    let diff = place.run(&["diff", "it"]).ok().out;
    assert!(!diff.contains("/data/"), "{diff}");
}

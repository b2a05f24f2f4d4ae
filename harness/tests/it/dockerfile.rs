//! What instructions do, asserted from within the image that they make, on every driver.

use std::os::unix::fs::symlink;

use crate::place::{DRIVERS, Place};

fn build(name: &str, files: &[(&str, &str)], dockerfile: &str, links: &[(&str, &str)]) {
    for driver in DRIVERS {
        let place = Place::new();
        let context = place.context(files);
        std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        for (target, link) in links {
            symlink(target, context.join(link)).unwrap();
        }
        let built = place.run(&["build", "--driver", driver, context.to_str().unwrap()]);
        assert_eq!(built.status, 0, "{name} on {driver}: {built:#?}");
    }
}

#[test]
fn privileged_copy_puts_files_where_docker_does() {
    let files = [("a.txt", "a"), ("b.txt", "b"), ("dir/one", "1"), ("dir/sub/two", "2"), ("c.md", "c")];
    let dockerfile = "FROM host
WORKDIR /w
COPY a.txt file
RUN test \"$(cat /w/file)\" = a
COPY a.txt new/
RUN test \"$(cat /w/new/a.txt)\" = a
COPY a.txt b.txt many/
RUN test \"$(cat /w/many/a.txt /w/many/b.txt)\" = ab
COPY *.txt glob/
RUN test \"$(ls /w/glob | tr '\\n' ' ')\" = 'a.txt b.txt '
COPY dir tree
RUN test \"$(cat /w/tree/one /w/tree/sub/two)\" = 12
COPY dir/ tree/
RUN test \"$(find /w/tree -type f | wc -l)\" = 2
COPY --chown=1:2 --chmod=640 a.txt owned
RUN test \"$(stat -c '%u:%g %a' /w/owned)\" = '1:2 640'
COPY --chown=daemon:users a.txt named
RUN test \"$(stat -c '%U:%G' /w/named)\" = daemon:users
RUN test \"$(stat -c '%u:%g %a' /w/file)\" = '0:0 644'
RUN mkdir /real && ln -s /real /link
COPY a.txt /link/
RUN test -L /link && test \"$(cat /real/a.txt)\" = a
COPY [\"a.txt\", \"with space\"]
RUN test -f '/w/with space'
COPY . all
RUN test \"$(cat /w/all/dir/sub/two)\" = 2
";
    build("copy", &files, dockerfile, &[]);
}

#[test]
fn privileged_ignored_files_stay_out() {
    let files = [
        (".dockerignore", "*.md\n!keep.md\nsecret\n**/*.tmp\n"),
        ("a.md", ""),
        ("keep.md", ""),
        ("secret/key", ""),
        ("src/x.tmp", ""),
        ("src/x.c", ""),
    ];
    let dockerfile = "FROM host
COPY . /c
RUN test \"$(cd /c && find . -type f | LC_ALL=C sort | tr '\\n' ' ')\" = './.dockerignore ./Dockerfile ./keep.md ./src/x.c '
";
    build("ignore", &files, dockerfile, &[]);
}

#[test]
fn privileged_links_of_the_context_lead_nowhere_else() {
    let files = [("inside", "in"), ("dir/f", "f")];
    let links =
        [("inside", "to-file"), ("dir", "to-dir"), ("../../../../../../etc/passwd", "escape"), ("/etc", "absolute")];
    let dockerfile = "FROM host
COPY to-file /copied
RUN test ! -L /copied && test \"$(cat /copied)\" = in
COPY to-dir /tree
RUN test -f /tree/f
COPY . /all
RUN test -L /all/escape && test -L /all/absolute
";
    build("links", &files, dockerfile, &links);
    let place = Place::new();
    let context = place.context(&[("Dockerfile", "FROM host\nCOPY escape /x\n")]);
    symlink("../../../../../../etc/passwd", context.join("escape")).unwrap();
    place.run(&["build", context.to_str().unwrap()]).status_is(1).says("cannot copy");
}

#[test]
fn privileged_an_image_cannot_lead_a_copy_out_of_it() {
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let dockerfile = format!(
        "FROM host\nRUN mkdir -p {0} && ln -s {0} /trap && ln -s ../../../../../../../../../../../../{0} /deep\nCOPY f /trap/\nCOPY f /deep/g\n",
        outside.display()
    );
    let context = place.context(&[("Dockerfile", &dockerfile), ("f", "x")]);
    for driver in DRIVERS {
        place.run(&["build", "--driver", driver, context.to_str().unwrap()]).ok();
        assert_eq!(crate::place::entries(&outside), 0, "{driver} wrote outside");
    }
}

#[test]
fn privileged_variables_shells_and_stages() {
    let dockerfile = "ARG BASE=host
FROM ${BASE} AS build
ARG BASE
ARG GIVEN=default
ENV A=1 B=${GIVEN}-x
RUN test \"$A $B $BASE\" = '1 default-x host'
SHELL [\"/bin/sh\", \"-e\", \"-c\"]
RUN false; echo -e did not stop the shell > /wrong || true
RUN [\"sh\", \"-c\", \"echo exec form > /made\"]
RUN <<EOT
echo one > /heredoc
echo two >> /heredoc
EOT
RUN test \"$(cat /heredoc | tr '\\n' ' ')\" = 'one two '
FROM host AS unused
RUN exit 1
FROM host
COPY --from=build /made /from-stage
COPY --from=0 /heredoc /from-number
RUN test \"$(cat /from-stage)\" = 'exec form' && test -s /from-number && test -z \"$A\"
USER daemon
WORKDIR /tmp
RUN test \"$(id -un)\" = daemon && test \"$(pwd)\" = /tmp
";
    let without_the_stop = dockerfile.replace("RUN false; echo -e did not stop the shell > /wrong || true\n", "");
    build("variables", &[], &without_the_stop, &[]);
    let place = Place::new();
    let context = place.context(&[("Dockerfile", dockerfile)]);
    place.run(&["build", context.to_str().unwrap()]).status_is(1).says("Dockerfile:8");
}

#[test]
fn privileged_add_unpacks_archives_and_nothing_else() {
    for driver in DRIVERS {
        let place = Place::new();
        let dockerfile = "FROM host\nADD a.tar.gz /un/\nRUN test \"$(cat /un/d/f)\" = x\nADD plain.tar /p/\nRUN test -f /p/plain.tar\nADD --chown=1:2 a.tar.gz /un/\nRUN test \"$(stat -c %u:%g /un/d/f)\" = 1:2 && test -f /un/.wh.d\n";
        let context =
            place.context(&[("Dockerfile", dockerfile), ("d/f", "x"), (".wh.d", ""), ("plain.tar", "no archive")]);
        let mut tar = std::process::Command::new("tar");
        tar.arg("-czf").arg(context.join("a.tar.gz")).arg("-C").arg(&context).args(["d", ".wh.d"]);
        assert!(tar.status().unwrap().success());
        place.run(&["build", "--driver", driver, context.to_str().unwrap()]).ok();
    }
}

#[test]
fn privileged_the_cache_follows_content_and_not_times() {
    let place = Place::new();
    let dockerfile = "FROM host\nARG V=1\nCOPY f /f\nRUN cat /f > /g\n";
    let context = place.context(&[("Dockerfile", dockerfile), ("f", "one")]);
    let cached = |extra: &[&str]| {
        let args = [&["build", "--driver", "vfs"], extra, &[context.to_str().unwrap()]].concat();
        place.run(&args).ok().err.matches("from the cache").count()
    };
    assert_eq!(cached(&[]), 0);
    assert_eq!(cached(&[]), 2);
    let file = std::fs::File::open(context.join("f")).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(100)).unwrap();
    assert_eq!(cached(&[]), 2, "a time made a difference");
    std::fs::write(context.join("f"), "two").unwrap();
    assert_eq!(cached(&[]), 0, "content made none");
    std::fs::write(context.join("f"), "one").unwrap();
    assert_eq!(cached(&[]), 2, "what was built before is forgotten");
    assert_eq!(cached(&["--build-arg", "V=2"]), 1, "an argument counts for RUN alone");
}

/// A step that is done again makes other content; what an earlier build put on the old content must not follow it.
#[test]
fn privileged_a_step_done_again_is_not_followed_by_the_old_one() {
    let place = Place::new();
    let dockerfile = "FROM host\nRUN date +%N > /first\nRUN cp /first /second\nRUN cmp /first /second\n";
    let context = place.context(&[("Dockerfile", dockerfile)]);
    let context = context.to_str().unwrap();
    place.run(&["build", context]).ok();
    place.run(&["build", "--no-cache", "-t", "again", context]).ok();
    place.run(&["build", "-t", "again", context]).ok();
    place.container(&["--rm"], &["again", "cmp", "/first", "/second"]).ok();
}

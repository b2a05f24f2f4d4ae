//! Mounts, heredocs, triggers and the newer flags, asserted from within the image that they make.

use crate::place::{DRIVERS, Place};

fn build(
    place: &Place,
    driver: &str,
    files: &[(&str, &str)],
    dockerfile: &str,
    options: &[&str],
) -> crate::place::Answer {
    let context = place.context(files);
    std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    place.run(&[&["build", "--driver", driver], options, &[context.to_str().unwrap()]].concat())
}

#[test]
fn privileged_heredocs_are_scripts_and_files() {
    let dockerfile = r#"FROM host
ARG WHO=world
RUN <<SCRIPT
#!/bin/sh
echo "hello $WHO" > /greeting
SCRIPT
RUN test "$(cat /greeting)" = 'hello world'
RUN cat <<A > /a && cat <<'B' > /b
plain $WHO
A
quoted $WHO
B
RUN test "$(cat /a /b | tr '\n' '|')" = 'plain world|quoted $WHO|'
RUN <<-TABS
	echo one > /tabs
	TABS
RUN test "$(cat /tabs)" = one
COPY <<EXPANDED <<"AS_IT_IS" /files/
expanded $WHO
EXPANDED
not $WHO
AS_IT_IS
RUN test "$(cat /files/EXPANDED /files/AS_IT_IS | tr '\n' '|')" = 'expanded world|not $WHO|'
COPY --chmod=755 <<X /named
text
X
RUN test "$(stat -c '%a %u:%g' /named)" = '755 0:0'
"#;
    for driver in DRIVERS {
        build(&Place::new(), driver, &[], dockerfile, &[]).ok();
    }
}

#[test]
fn privileged_mounts_are_there_for_the_command_and_leave_nothing() {
    let dockerfile = r#"FROM host AS tools
RUN echo tool > /tool
FROM host
WORKDIR /w
RUN --mount=target=/ctx test "$(cat /ctx/f)" = content && ! touch /ctx/x
RUN --mount=type=bind,target=/ctx,rw touch /ctx/x
RUN --mount=type=bind,from=tools,source=/tool,target=/t/tool test "$(cat /t/tool)" = tool
RUN --mount=type=tmpfs,target=/scratch,size=1m echo x > /scratch/x && grep -q ' /scratch tmpfs' /proc/mounts
RUN --mount=type=cache,target=/cache,id=c echo first > /cache/file
RUN --mount=type=cache,target=other,id=c,sharing=locked test "$(cat /w/other/file)" = first
RUN --mount=type=secret,id=token grep -q '^ses.me$' /run/secrets/token && test "$(stat -c %a /run/secrets/token)" = 400
RUN --mount=type=secret,id=token,env=TOKEN echo "$TOKEN" | grep -q '^ses.me$' && test ! -e /run/secrets
RUN --mount=type=secret,id=none test ! -e /run/secrets/none
RUN test ! -e /ctx && test ! -e /t && test ! -e /scratch && test ! -e /cache && test ! -e /w/other && test ! -e /run/secrets
"#;
    for driver in DRIVERS {
        let place = Place::new();
        let secret = place.dir.path().join("secret");
        std::fs::write(&secret, "sesame").unwrap();
        let given = format!("id=token,src={}", secret.display());
        let files = [("f", "content"), (".dockerignore", "ignored"), ("ignored", "")];
        build(&place, driver, &files, dockerfile, &["--secret", &given]).ok();
        let found = std::process::Command::new("grep").args(["-rl", "sesame"]).arg(place.root()).output().unwrap();
        assert!(found.stdout.is_empty(), "the secret is in {}", String::from_utf8_lossy(&found.stdout));
    }
}

#[test]
fn privileged_a_missing_secret_is_named_when_it_is_needed() {
    let answer = build(&Place::new(), "vfs", &[], "FROM host\nRUN --mount=type=secret,id=token,required true\n", &[]);
    answer.status_is(1).says("Dockerfile:2:5: no secret \"token\" was given");
    build(&Place::new(), "vfs", &[], "FROM host\nRUN --mount=type=bnd,target=/x true\n", &[])
        .status_is(1)
        .says("did you mean bind?");
}

#[test]
fn privileged_triggers_of_a_base_run_once() {
    let place = Place::new();
    let base = "FROM host\nONBUILD COPY f /f\nONBUILD RUN cp /f /g\nONBUILD ENV T=1\nRUN test ! -e /f\n";
    build(&place, "overlay2", &[], base, &["-t", "base"]).ok();
    let child = "FROM base\nRUN test \"$(cat /g)$T\" = content1\n";
    build(&place, "overlay2", &[("f", "content")], child, &["-t", "child"]).ok();
    // Handed on, they would miss the file.
    std::fs::remove_file(place.context(&[]).join("f")).unwrap();
    build(&place, "overlay2", &[], "FROM child\nRUN test -e /g\n", &[]).ok();
    build(&place, "overlay2", &[], "FROM base\n", &[]).status_is(1).says("ONBUILD of base:2:6: cannot copy");
}

#[test]
fn privileged_newer_flags_of_copy() {
    let files = [("src/a.c", "a"), ("src/b.h", "b"), ("src/deep/c.c", "c"), ("src/deep/d.md", "d"), ("top.md", "t")];
    let dockerfile = r#"FROM host
COPY --exclude=*.h --exclude=**/*.md src /x
RUN test "$(cd /x && find . -type f | LC_ALL=C sort | tr '\n' ' ')" = './a.c ./deep/c.c '
COPY --parents src/deep/c.c top.md /p/
RUN test -f /p/src/deep/c.c && test -f /p/top.md
COPY --parents src/./deep/*.c /q/
RUN test -f /q/deep/c.c && test ! -e /q/src
COPY --link top.md /l/top.md
RUN test -f /l/top.md
FROM scratch
COPY --from=0 /x/ /
"#;
    for driver in DRIVERS {
        build(&Place::new(), driver, &files, dockerfile, &[]).ok();
    }
}

/// BuildKit gives directories that are copied onto others the attributes of the source, but not the target itself.
#[test]
fn privileged_copied_directories_bring_their_attributes() {
    let dockerfile = r#"FROM host AS one
RUN mkdir -p /d/sub && chmod 711 /d/sub && chown 1:1 /d/sub && chmod 700 /d && touch -d @1000 /d/sub
FROM host
RUN mkdir -p /e/sub && chmod 777 /e/sub /e
COPY --from=one /d /e
RUN test "$(stat -c '%a %u %Y' /e/sub)" = '711 1 1000' && test "$(stat -c %a /e)" = 777
"#;
    for driver in DRIVERS {
        build(&Place::new(), driver, &[], dockerfile, &[]).ok();
    }
}

/// The same content under another chain of layers is the same input.
#[test]
fn privileged_copying_from_a_stage_is_cached_by_content() {
    let place = Place::new();
    let dockerfile = "FROM host AS one\nARG N\nRUN echo $N > /noise && echo same > /same\nFROM host\nCOPY --from=one /same /same\nRUN true\n";
    let cached = |number: &str| {
        let argument = format!("N={number}");
        build(&place, "overlay2", &[], dockerfile, &["--build-arg", &argument])
            .ok()
            .err
            .matches("from the cache")
            .count()
    };
    assert_eq!(cached("1"), 0);
    assert_eq!(cached("2"), 2);
}

#[test]
fn privileged_health_checks_and_shells_are_kept_in_the_image() {
    let place = Place::new();
    let dockerfile = "FROM tiny\nSHELL [\"/bin/sh\", \"-e\", \"-c\"]\nHEALTHCHECK --interval=1m --retries=2 CMD true\nEXPOSE 80 5000-5001/udp\n";
    build(&place, "vfs", &[], dockerfile, &["-t", "checked"]).ok();
    let root = place.dir.path().to_owned();
    let found = std::process::Command::new("grep").args(["-rlF", "Healthcheck"]).arg(root).output().unwrap();
    let path = String::from_utf8(found.stdout).unwrap();
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path.lines().find(|line| line.contains("blobs")).unwrap()).unwrap())
            .unwrap();
    assert_eq!(config["config"]["Healthcheck"]["Interval"], 60_000_000_000_u64);
    assert_eq!(config["config"]["Healthcheck"]["Test"], serde_json::json!(["CMD", "/bin/sh", "-e", "-c", "true"]));
    assert_eq!(config["config"]["Shell"], serde_json::json!(["/bin/sh", "-e", "-c"]));
    assert!(config["config"]["ExposedPorts"].get("5001/udp").is_some());
}

/// BuildKit's checks: their own status, and warnings in a build.
#[test]
fn privileged_likely_mistakes_are_told() {
    let place = Place::new();
    let dockerfile = "FROM host\nENV A b\nCOPY $NAME. /x/\n";
    let checked = build(&place, "vfs", &[], dockerfile, &["--check"]).status_is(1);
    assert!(checked.out.starts_with("LegacyKeyValueFormat: Dockerfile:2:5: "), "{checked:#?}");
    assert!(checked.out.contains("UndefinedVar: Dockerfile:3:6: "), "{checked:#?}");
    build(&place, "vfs", &[], dockerfile, &[]).ok().says("warning: UndefinedVar: Dockerfile:3:6: ");
    build(&place, "vfs", &[], "FROM host\nCOPY . /x/\n", &["--check"]).ok();
    let strict = format!("# check=error=true\n{dockerfile}");
    build(&place, "vfs", &[], &strict, &[]).status_is(1).says("must find nothing");
}

#[test]
fn privileged_named_contexts_take_the_place_of_stages_and_images() {
    let place = Place::new();
    let more = place.dir.path().join("more");
    std::fs::create_dir_all(more.join("sub")).unwrap();
    for name in ["taken", "left.log", "sub/deep"] {
        std::fs::write(more.join(name), name).unwrap();
    }
    std::fs::write(more.join(".dockerignore"), "*.log\n.dockerignore\n").unwrap();
    let tools = "FROM host\nRUN echo tool > /tool\nENV FROM_LAYOUT=yes\n";
    build(&place, "vfs", &[], tools, &["-t", "tools:1"]).ok();
    let layout = format!("oci:{}:v1", place.dir.path().join("layout").display());
    place.run(&["push", "-q", "tools:1", &layout]).ok();
    place.run(&["rmi", "tools:1"]).ok();

    let dockerfile = "FROM no.such.registry/base:9 AS base
RUN test \"$FROM_LAYOUT\" = yes && cat /tool > /copied

FROM host AS assets
RUN false

FROM base
COPY --from=assets . /assets/
COPY --from=Files --chown=3 taken /one
RUN --mount=from=files,target=/m,rw cp -r /m /two && rm /m/taken
RUN test \"$(ls -A /assets)\" = \"$(ls -A /two)\" && test ! -e /assets/left.log && test -f /two/sub/deep
RUN test \"$(stat -c %u /one /assets/taken | xargs)\" = '3 0'
COPY --from=registry.example/x:1 /etc/passwd /of-host
";
    let directory = more.to_str().unwrap();
    let given = [
        format!("assets={directory}"),
        format!("files={directory}"),
        format!("no.such.registry/base:9=oci-layout://{}", layout.trim_start_matches("oci:")),
        "registry.example/x:1=docker-image://host".to_owned(),
    ];
    let options: Vec<&str> = given.iter().flat_map(|context| ["--build-context", context]).collect();
    build(&place, "vfs", &[], dockerfile, &[&options[..], &["-t", "built"]].concat()).ok();
    assert!(more.join("taken").exists(), "a mount that is written to is the directory itself");
    // The layout's image was there for the build alone.
    assert_eq!(place.run(&["images", "-q"]).ok().out.lines().count(), 2);
    // The layout's image by its digest is the same.
    let index = std::fs::read(place.dir.path().join("layout/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let by_digest =
        format!("no.such.registry/base:9=oci-layout://{}@{digest}", place.dir.path().join("layout").display());
    let mut by_digests = options.clone();
    by_digests[5] = &by_digest;
    let cached = build(&place, "vfs", &[], dockerfile, &by_digests).ok();
    assert_eq!(cached.err.matches("from the cache").count(), 7, "{}", cached.err);
    std::fs::write(more.join("taken"), "changed").unwrap();
    assert_eq!(build(&place, "vfs", &[], dockerfile, &options).ok().err.matches("from the cache").count(), 1);
    let refused = |context: &str, why: &str| {
        build(&place, "vfs", &[], "FROM files\n", &["--build-context", context]).status_is(2).says(why);
    };
    refused("files=/none/there", "no directory");
    refused("files=ftp://example.org/x.git", "ftp:// is not supported");
    let from = build(&place, "vfs", &[], "FROM files\n", &["--build-context", &format!("files={directory}")]);
    from.status_is(1).says("Dockerfile:1:6").says("FROM starts from an image");
}

#[test]
fn privileged_agents_have_the_owner_and_mode_that_are_asked_for() {
    let place = Place::new();
    let socket = place.dir.path().join("agent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let dockerfile = "FROM host
RUN --mount=type=ssh test \"$(stat -c '%a %u %g' $SSH_AUTH_SOCK)\" = '600 0 0'
RUN --mount=type=ssh,required,mode=0660,uid=1,gid=2,target=/agent test \"$(stat -c '%a %u %g' /agent)\" = '660 1 2'
USER daemon
RUN --mount=type=ssh test ! -w $SSH_AUTH_SOCK
RUN --mount=type=ssh,uid=1 test -S $SSH_AUTH_SOCK -a -w $SSH_AUTH_SOCK
";
    let agent = format!("default={}", socket.display());
    build(&place, "vfs", &[], dockerfile, &["--ssh", &agent, "--network", "default"]).ok();
}

//! Images that a build asks for, their triggers, and mounts of parts of them.

use std::{error::Error, fs, sync::Mutex};

use harness_builder::{BuildRequest, Builder, Images};
use harness_image::{Image, Store};

use crate::place::{Heard, Place, cached};

crate::tests!(
    privileged_only_what_is_needed_is_asked_for,
    privileged_triggers_take_files_of_stages,
    privileged_triggers_of_a_stage_take_files_of_stages,
    privileged_a_mount_counts_by_what_it_selects,
);

/// Answers with what the store has under `example.com/`, and remembers what it was asked for.
#[derive(Debug, Default)]
struct Elsewhere {
    asked: Mutex<Vec<String>>,
}

impl Images for Elsewhere {
    fn image(&self, store: &Store, name: &str) -> Result<Image, Box<dyn Error + Send + Sync>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let known = name.strip_prefix("example.com/").ok_or("only example.com answers")?;
        Ok(store.resolve(known)?)
    }
}

fn build_named(place: &Place, dockerfile: &str, name: &str) {
    place.try_build(dockerfile, &BuildRequest { tags: vec![name.parse().unwrap()], ..place.request() }).unwrap();
}

fn privileged_only_what_is_needed_is_asked_for() {
    let place = Place::with_host("overlay2");
    place.file("f", "content");
    build_named(&place, "FROM scratch\nCOPY f /tool\n", "tools");
    place.file(
        "Dockerfile",
        "ARG REG=example.com
FROM other.example/unused AS unused
FROM ${REG}/host AS first
RUN --mount=from=example.com/tools,target=/t cp /t/tool /copied
FROM $REG/host
COPY --from=first /copied /
COPY --from=example.com/tools:latest /tool /
",
    );
    let images = Elsewhere::default();
    let builder = Builder::new(&place.layers).with_images(&images);
    let built = builder.build(&place.request(), &mut Heard::default()).unwrap_or_else(|error| panic!("{error}"));
    place.look(&built.image, |root| assert_eq!(fs::read_to_string(root.join("copied")).unwrap(), "content"));
    let asked = images.asked.lock().unwrap().clone();
    assert_eq!(asked, ["example.com/host", "example.com/tools", "example.com/tools:latest"]);
    // What cannot be had is shown where it is named.
    for (dockerfile, shown) in [
        ("ARG R=b\nFROM $R/x\n", "Dockerfile:2:6: cannot start from b/x: only example.com answers"),
        ("FROM scratch\nCOPY --from=b/x / /\n", "Dockerfile:2:6: only example.com answers"),
        ("FROM example.com/host\nRUN --mount=from=b/x,target=/t true\n", "Dockerfile:2:5: only example.com answers"),
    ] {
        place.file("Dockerfile", dockerfile);
        let error = builder.build(&place.request(), &mut Heard::default()).unwrap_err().to_string();
        assert!(error.starts_with(shown), "{error}");
    }
    // Checks do with what is there.
    place.file("Dockerfile", "FROM example.com/nowhere\n");
    assert_eq!(builder.check(&place.request()).unwrap(), []);
}

fn privileged_triggers_take_files_of_stages() {
    let place = Place::new("overlay2");
    place.file("f", "content");
    build_named(&place, "FROM scratch\nCOPY f /base\nONBUILD COPY --from=assets /made /taken\n", "with-triggers");
    let built = place.build("FROM scratch AS assets\nCOPY f /made\nFROM scratch AS unused\nFROM with-triggers\n");
    let stages: Vec<&str> = built.steps.iter().map(|step| step.stage.as_str()).collect();
    assert_eq!(stages, ["assets", "2"]);
    place.look(&built.image, |root| assert!(root.join("taken").is_file() && root.join("base").is_file()));
    let refused = place.refused("FROM with-triggers\n");
    assert!(refused.starts_with("ONBUILD of with-triggers:2:6: "), "{refused}");
}

fn privileged_triggers_of_a_stage_take_files_of_stages() {
    let place = Place::new("vfs");
    place.file("f", "content");
    let built = place.build(
        "FROM scratch AS assets\nCOPY f /made\nFROM scratch AS base\nCOPY f /base\nONBUILD COPY --from=assets /made /taken\nFROM base\n",
    );
    place.look(&built.image, |root| assert!(root.join("taken").is_file()));
}

fn privileged_a_mount_counts_by_what_it_selects() {
    let place = Place::with_host("overlay2");
    let build = |other: &str, tool: &str, source: &str| {
        let dockerfile = format!(
            "FROM host AS tools\nRUN mkdir /bin2 && echo {tool} > /bin2/tool && echo {other} > /other\nFROM host\nRUN --mount=from=tools,source={source},target=/t cp -r /t /copied\n"
        );
        let built = place.build(&dockerfile);
        (built.steps.last().unwrap().cached, cached(&built))
    };
    assert!(!build("1", "a", "/bin2").0);
    assert_eq!(build("2", "a", "/bin2"), (true, 1));
    assert!(!build("2", "b", "/bin2").0);
    assert!(!build("2", "b", "/").0);
    assert!(!build("3", "b", "/").0);
    let refused = place.refused("FROM host AS tools\nFROM host\nRUN --mount=from=tools,source=/nope,target=/t true\n");
    assert!(refused.contains("Dockerfile:3:5: cannot mount \"/nope\""), "{refused}");
}

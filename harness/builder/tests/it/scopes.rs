//! Which arguments an instruction sees, which of them count for the cache, and for whom it makes directories.

use std::{fs, os::unix::fs::MetadataExt};

use harness_builder::{BuildRequest, Builder};

use crate::place::{Heard, Place, cached};

crate::tests!(
    privileged_arguments_are_inherited_by_stages,
    privileged_proxies_count_where_they_are_declared,
    privileged_a_default_that_is_not_used_is_not_expanded,
    privileged_directories_belong_to_the_user,
    privileged_what_the_builder_sets_itself,
    privileged_arguments_of_the_builder_are_met_or_named,
);

fn with(place: &Place, arguments: &[(&str, &str)]) -> BuildRequest {
    let build_args = arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    BuildRequest { build_args, ..place.request() }
}

fn privileged_arguments_are_inherited_by_stages() {
    let dockerfile = "FROM host AS base
ARG NAME=joe
ARG GIVEN
FROM base AS build
RUN test \"$NAME $GIVEN\" = \"joe x\"
FROM host AS other
RUN test -z \"$NAME$GIVEN\"
FROM build
COPY --from=other /etc/passwd /$NAME
RUN test -e /joe
ENV SEEN=$NAME-$GIVEN
";
    let place = Place::with_host("vfs");
    let built = place.try_build(dockerfile, &with(&place, &[("GIVEN", "x")])).unwrap_or_else(|why| panic!("{why}"));
    let config = built.image.config.config().clone().unwrap();
    assert!(config.env().clone().unwrap().contains(&"SEEN=joe-x".to_owned()));
}

fn privileged_proxies_count_where_they_are_declared() {
    let place = Place::with_host("overlay2");
    let undeclared = "FROM host\nRUN echo \"$http_proxy\" > /seen\n";
    let build = |dockerfile: &str, proxy: &str| place.try_build(dockerfile, &with(&place, &[("http_proxy", proxy)]));
    let first = build(undeclared, "http://one").unwrap();
    place.look(&first.image, |root| assert_eq!(fs::read_to_string(root.join("seen")).unwrap(), "http://one\n"));
    assert_eq!(cached(&build(undeclared, "http://two").unwrap()), 1);
    let declared = "FROM host\nARG http_proxy\nRUN echo \"$http_proxy\" > /seen\n";
    assert_eq!(cached(&build(declared, "http://one").unwrap()), 0);
    assert_eq!(cached(&build(declared, "http://one").unwrap()), 1);
    assert_eq!(cached(&build(declared, "http://two").unwrap()), 0);
}

fn privileged_a_default_that_is_not_used_is_not_expanded() {
    let place = Place::new("vfs");
    let dockerfile = "FROM scratch\nARG V=\"${UNSET:?give one}\"\nLABEL v=$V\n";
    let built = place.try_build(dockerfile, &with(&place, &[("V", "given")])).unwrap();
    assert_eq!(built.image.config.config().clone().unwrap().labels().clone().unwrap()["v"], "given");
    let refused = place.refused(dockerfile);
    assert!(refused.contains("Dockerfile:2:8: UNSET: give one"), "{refused}");
}

fn privileged_directories_belong_to_the_user() {
    let place = Place::with_host("overlay2");
    let built = place.build(
        "FROM host
RUN echo app:x:1234:77::/:/bin/sh >> /etc/passwd
USER app
WORKDIR /a/b
USER app:88
WORKDIR c
USER 9
WORKDIR /nine
USER nobody-here
WORKDIR /root-made
USER app
WORKDIR /etc
COPY --chown=app <<E /file
E
",
    );
    place.look(&built.image, |root| {
        let owner = |name: &str| fs::metadata(root.join(name)).map(|found| (found.uid(), found.gid())).unwrap();
        assert_eq!((owner("a"), owner("a/b"), owner("a/b/c")), ((1234, 77), (1234, 77), (1234, 88)));
        assert_eq!((owner("nine"), owner("root-made"), owner("etc")), ((9, 9), (0, 0), (0, 0)));
        assert_eq!(owner("file"), (1234, 77));
    });
    // Who it is counts.
    let dockerfile = |user: &str| format!("FROM host\nUSER {user}\nWORKDIR /w\n");
    assert_eq!(cached(&place.build(&dockerfile("1"))), 0);
    assert_eq!(cached(&place.build(&dockerfile("2"))), 0);
    assert_eq!(cached(&place.build(&dockerfile("2"))), 1);
}

fn privileged_what_the_builder_sets_itself() {
    let place = Place::new("vfs");
    let dockerfile = "FROM scratch AS one\nARG TARGETSTAGE\nARG BUILDOS\nLABEL v=$TARGETSTAGE-$BUILDOS\nFROM one\n";
    for (target, arguments, expected) in [
        (None, &[][..], "default-linux"),
        (Some("one"), &[], "one-linux"),
        (None, &[("BUILDOS", "mine"), ("TARGETSTAGE", "x")], "x-mine"),
    ] {
        let request = BuildRequest { target: target.map(str::to_owned), ..with(&place, arguments) };
        let config = place.try_build(dockerfile, &request).unwrap().image.config.config().clone().unwrap();
        assert_eq!(config.labels().clone().unwrap()["v"], expected);
    }
    // Also where no ARG declares it, in what FROM sees.
    let request = with(&place, &[("TARGETARCH", "none")]);
    let error = place.try_build("FROM --platform=linux/$TARGETARCH scratch\n", &request).unwrap_err().to_string();
    assert!(error.contains("not for linux/none"), "{error}");
}

fn privileged_arguments_of_the_builder_are_met_or_named() {
    let place = Place::with_host("overlay2");
    let warnings = |arguments: &[(&str, &str)], dockerfile: &str| {
        place.file("Dockerfile", dockerfile);
        let mut heard = Heard::default();
        Builder::new(&place.layers).build(&with(&place, arguments), &mut heard).unwrap();
        heard.warnings
    };
    let plain = "FROM scratch\nLABEL a=b\n";
    for (arguments, dockerfile, expected) in [
        (&[("BUILDKIT_INLINE_CACHE", "1")][..], plain, "BUILDKIT_INLINE_CACHE does nothing here"),
        (&[("BUILDKIT_NO_SUCH", "1")], plain, "no ARG takes the build argument BUILDKIT_NO_SUCH"),
        (&[], "# syntax=x.org/other\nFROM scratch\nLABEL a=b\n", "the front end \"x.org/other\" is not used"),
    ] {
        let said = warnings(arguments, dockerfile);
        assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
    }
    for name in ["BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_CACHE_MOUNT_NS", "TARGETOS", "SOURCE_DATE_EPOCH"] {
        assert_eq!(warnings(&[(name, "1")], plain), Vec::<String>::new(), "{name}");
    }
    let error = place.try_build(plain, &with(&place, &[("BUILDKIT_MULTI_PLATFORM", "x")])).unwrap_err().to_string();
    assert!(error.contains("BUILDKIT_MULTI_PLATFORM is true or false"), "{error}");
    // Caches of one namespace are not seen in another.
    let run = |namespace: &str, command: &str| {
        let dockerfile = format!("FROM host\nRUN --mount=type=cache,target=/c {command}\n");
        let built = place.try_build(&dockerfile, &with(&place, &[("BUILDKIT_CACHE_MOUNT_NS", namespace)]));
        built.unwrap_or_else(|error| panic!("{namespace}: {command}: {error}"));
    };
    run("one", "touch /c/left");
    run("two", "test ! -e /c/left");
    run("", "test ! -e /c/left #");
    run("one", "test -e /c/left");
}

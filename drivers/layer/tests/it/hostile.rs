//! Tars that want out, or want too much.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::MetadataExt,
};

use storage_driver::Bytes;
use storage_layer::{ApplyOptions, Error, Fault, Limits, apply, check};

use crate::{
    tar_maker::{Raw, Tar},
    tree_maker::{Tree, lay},
};

/// A root, and beside it a directory that nothing may reach.
struct Place {
    _dir: tempfile::TempDir,
    root: Tree,
    outside: Tree,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (Tree::new(dir.path(), "root"), Tree::new(dir.path(), "outside"));
        outside.file("secret", "secret");
        Self { _dir: dir, root, outside }
    }

    fn outside_path(&self) -> String {
        self.outside.0.to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn assert_untouched(&self) {
        let names: Vec<_> = fs::read_dir(&self.outside.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"]);
        assert_eq!(fs::read(self.outside.at("secret")).unwrap(), b"secret");
        assert_eq!(fs::metadata(self.outside.at("secret")).unwrap().nlink(), 1);
    }

    fn try_apply(&self, tar: &[u8]) -> Result<storage_driver::ApplyStats, Error> {
        apply(&self.root.0, &mut &*tar, &ApplyOptions::default())
    }

    #[track_caller]
    fn refused(&self, tar: &[u8]) -> String {
        let error = self.try_apply(tar).expect_err("it was applied");
        self.assert_untouched();
        error.to_string()
    }
}

#[test]
fn dot_dot_is_refused_anywhere() {
    for name in ["../x", "..", "a/../../outside/x", "/../outside/x", "a/..", "./../x"] {
        let place = Place::new();
        let error = place.refused(&Tar::default().file(name, b"x").end());
        assert!(error.contains("\"..\""), "{error}");
    }
}

#[test]
fn absolute_names_start_at_the_root() {
    let place = Place::new();
    let inside = format!("{}/x", place.outside_path());
    lay(&Tar::default().file(&inside, b"x").end(), &place.root);
    place.assert_untouched();
    assert!(place.root.at(&inside[1..]).exists());
}

#[test]
fn symlinked_parents_are_resolved_within_the_root() {
    for target in ["../outside", "/../outside", "../../../../../../../../outside", "sub/../../outside"] {
        let place = Place::new();
        let tar = Tar::default().dir("sub").symlink("link", target).file("link/x", b"x").end();
        lay(&tar, &place.root);
        place.assert_untouched();
        assert!(place.root.at("outside/x").exists(), "{target} is not resolved as in a chroot");
    }
    let place = Place::new();
    let target = place.outside_path();
    lay(&Tar::default().symlink("link", &target).file("link/x", b"x").end(), &place.root);
    place.assert_untouched();
    assert!(place.root.at(&target[1..]).join("x").exists());
}

#[test]
fn symlinks_that_were_there_before_are_no_way_out_either() {
    let place = Place::new();
    place.root.symlink("link", &place.outside_path());
    lay(&Tar::default().file("link/x", b"x").dir("link/d").link("link/l", "link/x").end(), &place.root);
    place.assert_untouched();
    place.root.symlink("magic", "/proc/self/root");
    lay(&Tar::default().file("magic/tmp/x", b"x").end(), &place.root);
    assert!(place.root.at("proc/self/root/tmp/x").exists());
}

#[test]
fn a_loop_of_symlinks_is_an_error() {
    let place = Place::new();
    let error = place.refused(&Tar::default().symlink("a", "b").symlink("b", "a").file("a/x", b"").end());
    assert!(error.contains("loop"), "{error}");
}

#[test]
fn a_file_never_follows_the_symlink_it_replaces() {
    let place = Place::new();
    let secret = format!("{}/secret", place.outside_path());
    lay(&Tar::default().symlink("s", &secret).file("s", b"new").end(), &place.root);
    place.assert_untouched();
    assert_eq!(fs::read(place.root.at("s")).unwrap(), b"new");
}

#[test]
fn hard_links_reach_nothing_outside() {
    let place = Place::new();
    let secret = format!("{}/secret", place.outside_path());
    for target in [secret.as_str(), "../outside/secret", "link/secret", "/link/secret", ""] {
        let tar = Tar::default().symlink("link", "../outside").link("x", target).end();
        let error = place.refused(&tar);
        assert!(error.contains("entry \"x\""), "{error}");
    }
}

#[test]
fn a_hard_link_to_a_symlink_links_the_symlink() {
    let place = Place::new();
    let secret = format!("{}/secret", place.outside_path());
    lay(&Tar::default().symlink("s", &secret).link("x", "s").end(), &place.root);
    place.assert_untouched();
    assert_eq!(fs::read_link(place.root.at("x")).unwrap().to_str().unwrap(), secret);
}

#[test]
fn whiteouts_reach_nothing_outside() {
    for name in ["link/.wh.secret", "link/.wh..wh..opq"] {
        let place = Place::new();
        lay(&Tar::default().symlink("link", &place.outside_path()).file(name, b"").end(), &place.root);
        place.assert_untouched();
    }
    for name in [".wh.", ".wh..", ".wh...", "a/.wh..."] {
        let place = Place::new();
        place.refused(&Tar::default().dir("a").file(name, b"").end());
    }
}

#[test]
fn whiteouts_do_not_follow_symlinks_they_delete() {
    let place = Place::new();
    place.root.dir("d").symlink("d/link", &place.outside_path());
    lay(&Tar::default().file(".wh.d", b"").end(), &place.root);
    place.assert_untouched();
    assert!(!place.root.at("d").exists());
}

#[test]
fn names_with_nul_in_extended_headers_are_refused() {
    let place = Place::new();
    place.refused(&Tar::default().pax(&[(b"path", b"a\0b")]).file("x", b"").end());
    place.refused(&Tar::default().pax(&[(b"linkpath", b"a\0b")]).symlink("x", "y").end());
    place.refused(&Tar::default().pax(&[(b"path", b"../x")]).file("x", b"").end());
    place.refused(
        &Tar::default().pax(&[(b"GNU.sparse.name", b"../x"), (b"GNU.sparse.major", b"1")]).file("x", b"").end(),
    );
}

#[test]
fn every_truncation_names_where_it_happened() {
    let place = Place::new();
    let whole = Tar::default().dir("d").pax(&[(b"mtime", b"1.5")]).file("d/f", &[7; 3000]).end();
    let content = 512 + 1024 + 512 + 3000;
    for end in (0..content).step_by(97).filter(|end| *end != 512) {
        let error = place.refused(&whole[..end]);
        assert!(error.contains("byte") && error.contains("too early"), "cut at {end}: {error}");
    }
    // Part of a header, or of what ends it.
    for end in [whole.len() - 1024 + 1, whole.len() - 1024 + 511] {
        assert!(place.refused(&whole[..end]).contains("too early"), "cut at {end}");
    }
    let error = place.refused(&whole[..4096]);
    assert_eq!(error, "layer tar, byte 512, entry \"d/f\": the tar ends here, 1024 bytes too early");
}

/// As umoci's `insert` writes it, and Go's archive/tar reads it.
#[test]
fn a_tar_may_end_after_the_content_of_its_last_file() {
    let whole = Tar::default().dir("d").file("d/f", &[7; 3000]).end();
    let content = 512 + 512 + 3000;
    for end in [512, content, content + 1, content + 71, content + 72, content + 72 + 512, whole.len()] {
        let place = Place::new();
        place.try_apply(&whole[..end]).unwrap_or_else(|error| panic!("cut at {end}: {error}"));
    }
    // Nothing at all is no tar.
    Place::new().refused(b"");
}

#[test]
fn headers_that_describe_nothing_are_bounded() {
    let limits = Limits { entries: 100, extended_header: 64 << 10, ..Limits::default() };
    let endless = |kind: u8, name: &[u8]| {
        let one = Tar::default().raw(&Raw { name, kind, ..Raw::default() }).0;
        check(&one.repeat(1000)[..], &limits).unwrap_err().to_string()
    };
    assert!(endless(b'g', b"g").contains("the number of global extended headers is 101"));
    for kind in [b'x', b'L', b'K'] {
        let error = endless(kind, b"x");
        assert!(error.contains("the size of its extended headers is 66048"), "{error}");
    }
}

#[test]
fn a_huge_declared_size_allocates_nothing() {
    let place = Place::new();
    let huge = Raw { name: b"x", size: 0o77_777_777_777, ..Raw::default() };
    let error = place.refused(&Tar::default().raw(&huge).bytes(b"short").0);
    assert!(error.contains("too early"), "{error}");
    let error = place.refused(&Tar::default().pax(&[(b"size", b"9999999999999999")]).file("x", b"").end());
    assert!(error.contains("its size is 9999999999999999"), "{error}");
    let huge = Raw { name: b"x", kind: b'x', size: 0o77_777_777_777, ..Raw::default() };
    let error = place.refused(&Tar::default().raw(&huge).bytes(b"short").0);
    assert!(error.contains("extended headers"), "{error}");
    let huge = Raw { name: b"x", kind: b'L', size: 0o77_777_777_777, ..Raw::default() };
    place.refused(&Tar::default().raw(&huge).bytes(b"short").0);
}

#[test]
fn extended_headers_are_bounded_together() {
    let place = Place::new();
    let mut tar = Tar::default();
    for _ in 0..20 {
        tar = tar.pax(&[(b"comment", &[b'c'; 100_000])]);
    }
    let error = place.refused(&tar.file("x", b"").end());
    assert!(error.contains("extended headers"), "{error}");
    let names: Vec<_> = (0..1001).map(|n| format!("SCHILY.xattr.user.{n}")).collect();
    let records: Vec<_> = names.iter().map(|name| (name.as_bytes(), &b"v"[..])).collect();
    let error = place.refused(&Tar::default().pax(&records).file("x", b"").end());
    assert!(error.contains("xattrs"), "{error}");
}

#[test]
fn limits_are_kept() {
    let place = Place::new();
    let tar = Tar::default().file("a", b"").file("b", b"").file("c", &[0; 10_000]).end();
    let apply = |limits: Limits| {
        let options = ApplyOptions { limits, ..ApplyOptions::default() };
        apply(&place.root.0, &mut tar.as_slice(), &options)
    };
    let too_much = |answer: Result<_, Error>| matches!(answer, Err(Error::Entry { why: Fault::TooMuch { .. }, .. }));
    assert!(apply(Limits::default()).is_ok());
    assert!(too_much(apply(Limits { entries: 2, ..Limits::default() })));
    let nested = Tar::default().dir("d").dir("d/e").file("d/e/f", b"").end();
    let directories = |directories: u64| {
        let options = ApplyOptions { limits: Limits { directories, ..Limits::default() }, ..ApplyOptions::default() };
        storage_layer::apply(&Place::new().root.0, &mut nested.as_slice(), &options)
    };
    // The root is one of them.
    assert!(too_much(directories(2)) && directories(3).is_ok());
    assert!(too_much(apply(Limits { file_size: Bytes(9_999), ..Limits::default() })));
    assert!(too_much(apply(Limits { size: Bytes(9_999), ..Limits::default() })));
}

#[test]
fn a_gzip_bomb_ends_at_the_limit() {
    let place = Place::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let header = Tar::default().raw(&Raw { name: b"bomb", size: 1 << 32, ..Raw::default() }).0;
    gzip.write_all(&header).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(1 << 26), &mut gzip).unwrap();
    let bomb = gzip.finish().unwrap();
    let limits = Limits { size: Bytes(1 << 22), ..Limits::default() };
    let options = ApplyOptions { limits, ..ApplyOptions::default() };
    let error = apply(&place.root.0, &mut bomb.as_slice(), &options).unwrap_err();
    assert!(error.to_string().contains("the size of the tar"), "{error}");
    assert!(fs::metadata(place.root.at("bomb")).unwrap().blocks() * 512 <= 1 << 23);
}

#[test]
fn sparse_maps_cannot_lie() {
    let place = Place::new();
    let sparse = |map: &[u8], size: &[u8]| {
        Tar::default()
            .pax(&[(b"GNU.sparse.map", map), (b"GNU.sparse.realsize", size), (b"GNU.sparse.name", b"s")])
            .file("x", b"12345")
            .end()
    };
    for (map, size) in [
        (&b"0,6"[..], &b"10"[..]),
        (b"8,5", b"10"),
        (b"18446744073709551615,5", b"10"),
        (b"0,2,1,3", b"10"),
        (b"0,5,", b"10"),
        (b"a,b", b"10"),
        (b"0,5", b"-1"),
        (b"0,5", b"99999999999999999"),
    ] {
        place.refused(&sparse(map, size));
    }
    lay(&sparse(b"0,2,5,3", b"10"), &place.root);
    assert_eq!(fs::read(place.root.at("s")).unwrap(), b"12\0\0\x00345\0\0");
}

#[test]
fn the_size_of_an_extended_header_is_for_the_file_and_not_for_headers_between() {
    let place = Place::new();
    let long = "n".repeat(150);
    let tar = Tar::default().pax(&[(b"size", b"5")]).extension(b'L', long.as_bytes()).raw(&Raw {
        name: b"short",
        size: 0,
        ..Raw::default()
    });
    lay(&tar.bytes(b"12345").file("next", b"").end(), &place.root);
    assert_eq!(fs::read(place.root.at(&long)).unwrap(), b"12345");
    assert!(place.root.at("next").exists());
}

#[test]
fn overlay_xattrs_from_a_tar_are_dropped() {
    let place = Place::new();
    let tar = Tar::default()
        .pax(&[(b"SCHILY.xattr.user.overlay.redirect", b"/etc"), (b"SCHILY.xattr.trusted.overlay.opaque", b"y")])
        .dir("d")
        .end();
    let stats = lay(&tar, &place.root);
    assert_eq!(stats.skipped.len(), 1);
    let manifest = place.root.manifest();
    assert!(manifest.entries[&b"d"[..]].xattrs.is_empty());
    let names = rustix::fs::llistxattr(place.root.at("d"), &mut [0_u8; 256][..]).unwrap();
    assert_eq!(names, 0, "the raw xattrs are there");
}

#[test]
fn types_without_meaning_are_refused_by_name() {
    let place = Place::new();
    let error = place.refused(&Tar::default().raw(&Raw { name: b"v", kind: b'V', ..Raw::default() }).end());
    assert!(error.contains("entry \"v\""), "{error}");
    place.refused(&Tar::default().file("f", b"").file("f/x", b"").end());
}

#[test]
fn random_bytes_and_flipped_bits_never_panic() {
    let place = Place::new();
    let whole = Tar::default().dir("d").pax(&[(b"mtime", b"1.5")]).file("d/f", &[7; 900]).link("l", "d/f").end();
    for at in (0..whole.len().min(4000)).step_by(3) {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (at % 8);
        let _ = place.try_apply(&bad);
    }
    place.assert_untouched();
}

#[test]
fn a_deep_directory_is_deleted_without_recursion() {
    let place = Place::new();
    let deep = "d/".repeat(1500);
    lay(&Tar::default().pax(&[(b"path", format!("{deep}file").as_bytes())]).file("x", b"x").end(), &place.root);
    lay(&Tar::default().file(".wh.d", b"").end(), &place.root);
    assert!(!place.root.at("d").exists());
}

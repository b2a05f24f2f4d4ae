//! Layer tars that want out, and tars that are broken.

use std::{fs, path::Path};

use storage_driver::{CreateOptions, Error, LayerId, MountMode};

use super::tars::{TarWriter, Type};
use crate::{Context, During, Op, Stop, Verdict, case::cases, verdict::ensure};

cases! { "hostile";
    "escape" = escape: "no name, symlink or hard link in a tar reaches outside the layer";
    "escape-through-parent" = escape_through_parent: "symlinks of the parent lead no tar outside either";
    "link-out-of-parent" = link_out: "a hard link cannot take in a file from outside";
    "whiteout-escape" = whiteout_escape: "whiteouts delete nothing but names in the layer, and bad whiteout names are refused";
    "broken" = broken: "cut, damaged and lying tars are errors, and the layer can be removed";
    "devices-in-user-namespace" = devices: "a device in a tar is made, or left out with a note, as the driver can";
}

/// A file beside the layers, which no tar may touch.
struct Victim<'a> {
    directory: &'a Path,
}

impl Victim<'_> {
    fn check(&self) -> Verdict {
        let mut names: Vec<_> =
            fs::read_dir(self.directory)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<_>>()?;
        names.sort();
        ensure!(names == ["secret"], "outside the layer there are now {names:?}");
        let content = fs::read_to_string(self.directory.join("secret"))?;
        ensure!(content == "untouched", "a file outside the layer now holds {content:?}");
        let links = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(self.directory.join("secret"))?);
        ensure!(links == 1, "a file outside the layer now has {links} names");
        Ok(())
    }
}

fn victim(cx: &Context<'_>) -> Verdict<std::path::PathBuf> {
    let directory = cx.directory("outside")?;
    crate::context::all(&directory, &[Op::file("secret", "untouched")])?;
    Ok(directory)
}

/// Applies `tar` to a fresh layer, which may be refused; the layer can be looked at and removed in any case, and does
/// not show what is outside.
fn attack(cx: &Context<'_>, parent: Option<&LayerId>, what: &str, tar: &[u8], victim: &Victim<'_>) -> Verdict {
    let driver = cx.driver();
    let layer = cx.fresh_id("attacked");
    driver.create(&layer, parent, &CreateOptions::default())?;
    let answer = driver.apply(&layer, &mut &*tar);
    if let Err(error) = &answer {
        ensure!(
            matches!(error, Error::Layer { .. }),
            "{what}: refused with {error:?}, which does not name the layer and the entry"
        );
    }
    victim.check().during(|| what.to_owned())?;
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    let shown = found_secret(view.path())?;
    view.close()?;
    driver.remove(&layer)?;
    ensure!(!shown, "{what}: the layer shows a file from outside");
    victim.check().during(|| format!("{what}, after removal"))
}

fn found_secret(directory: &Path) -> Verdict<bool> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let found = if kind.is_dir() {
            found_secret(&entry.path())?
        } else {
            kind.is_file() && fs::read(entry.path())? == b"untouched"
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn escape(cx: &Context<'_>) -> Verdict {
    let outside = victim(cx)?;
    let victim = Victim { directory: &outside };
    let out = outside.to_str().ok_or_else(|| Stop::failed("the temporary directory's name is not UTF-8"))?;
    // From a layer's root, wherever a driver keeps it, to the room of this case.
    let ups: Vec<String> = (1..8).map(|steps| format!("{}outside", "../".repeat(steps))).collect();
    let tar = TarWriter::default;
    let mut attacks = vec![
        ("absolute name", tar().file(&format!("{out}/new"), "x").finish()),
        ("absolute name of the victim", tar().file(&format!("{out}/secret"), "x").finish()),
        ("symlink and file below it", tar().symlink("out", out).file("out/new", "x").finish()),
        ("symlink, then a file of its name", tar().symlink("out", &format!("{out}/secret")).file("out", "x").finish()),
        (
            "symlink, then a directory of its name",
            tar().symlink("out", out).directory("out").file("out/new", "x").finish(),
        ),
        ("two symlinks", tar().symlink("a", "b").symlink("b", out).file("a/new", "x").finish()),
        ("absolute symlink to the root", tar().symlink("root", "/").file(&format!("root/{out}/new"), "x").finish()),
        ("hard link to an absolute name", tar().hard_link("in", &format!("{out}/secret")).finish()),
        ("hard link, then written to", tar().hard_link("in", &format!("{out}/secret")).file("in", "x").finish()),
        ("hard link through a symlink", tar().symlink("out", out).hard_link("in", "out/secret").finish()),
        ("hard link into a symlink", tar().symlink("out", out).file("f", "x").hard_link("out/new", "f").finish()),
        ("a name in pax", tar().pax("path", format!("{out}/new").as_bytes()).file("f", "x").finish()),
        ("a link in pax", tar().pax("linkpath", format!("{out}/secret").as_bytes()).hard_link("f", "x").finish()),
        ("xattr through a symlink", {
            let link = tar().symlink("out", &format!("{out}/secret"));
            link.pax("SCHILY.xattr.user.x", b"y").directory("out").finish()
        }),
    ];
    for up in &ups {
        attacks.push(("dots", tar().file(&format!("{up}/new"), "x").finish()));
        attacks.push(("dots in the middle", tar().directory("d").file(&format!("d/../{up}/new"), "x").finish()));
        attacks.push(("symlink with dots", tar().symlink("out", up).file("out/new", "x").finish()));
        attacks.push(("hard link with dots", tar().hard_link("in", &format!("{up}/secret")).finish()));
    }
    for (what, tar) in &attacks {
        attack(cx, None, what, tar, &victim)?;
    }
    Ok(())
}

fn escape_through_parent(cx: &Context<'_>) -> Verdict {
    let outside = victim(cx)?;
    let victim = Victim { directory: &outside };
    let parent = cx.sealed(
        "parent",
        None,
        &[
            Op::symlink(&outside, "out"),
            Op::symlink(outside.join("secret"), "file"),
            Op::mkdir("d"),
            Op::symlink(&outside, "d/out"),
            Op::symlink("../../../../../../../..", "up"),
        ],
    )?;
    let up = format!("up{}/new", outside.display());
    let tar = TarWriter::default;
    let attacks = [
        ("file below the parent's symlink", tar().file("out/new", "x").finish()),
        ("file below a nested symlink", tar().file("d/out/new", "x").finish()),
        ("file over the parent's symlink", tar().file("file", "x").finish()),
        ("file up and out", tar().file(&up, "x").finish()),
        ("whiteout below the parent's symlink", tar().file("out/.wh.secret", "").finish()),
        ("opaque mark below the parent's symlink", tar().file("out/.wh..wh..opq", "").finish()),
        ("directory over the parent's symlink", tar().directory("out").file("out/new", "x").finish()),
        ("hard link to the parent's symlink's target", tar().hard_link("in", "out/secret").finish()),
        ("symlink below the symlink", tar().symlink("out/new", "x").finish()),
    ];
    for (what, tar) in &attacks {
        attack(cx, Some(&parent), what, tar, &victim)?;
    }
    Ok(())
}

fn link_out(cx: &Context<'_>) -> Verdict {
    let outside = victim(cx)?;
    let victim = Victim { directory: &outside };
    let parent = cx.sealed("parent", None, &[Op::symlink(&outside, "out"), Op::file("own", "x")])?;
    let tar = TarWriter::default().hard_link("first", "own").hard_link("second", "first").finish();
    let layer = cx.create("linked", Some(&parent))?;
    cx.driver().apply(&layer, &mut &*tar)?;
    let view = cx.driver().mount(&layer, MountMode::ReadWrite)?;
    ensure!(fs::read(view.path().join("second"))? == b"x", "a hard link to the parent's file does not lead to it");
    view.close()?;
    for target in ["out/secret", "/out/secret", "absent", "..", ".", ""] {
        let tar = TarWriter::default().hard_link("in", target).finish();
        attack(cx, Some(&parent), &format!("hard link to {target:?}"), &tar, &victim)?;
    }
    Ok(())
}

fn whiteout_escape(cx: &Context<'_>) -> Verdict {
    let outside = victim(cx)?;
    let victim = Victim { directory: &outside };
    let parent = cx.sealed("parent", None, &[Op::mkdir("d"), Op::file("d/f", "x"), Op::symlink(&outside, "out")])?;
    let driver = cx.driver();
    for name in [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh..."] {
        let layer = cx.fresh_id("bad");
        driver.create(&layer, Some(&parent), &CreateOptions::default())?;
        let tar = TarWriter::default().file(name, "").finish();
        let refused = matches!(driver.apply(&layer, &mut &*tar), Err(Error::Layer { .. }));
        ensure!(refused, "the whiteout {name:?} was not refused, though it names a directory itself");
        driver.remove(&layer)?;
    }
    for name in [
        "../.wh.outside",
        "../../.wh.outside",
        "/.wh.outside",
        "out/.wh.secret",
        "d/../../.wh.root",
        "out/.wh..wh..opq",
    ] {
        let tar = TarWriter::default().file(name, "").finish();
        attack(cx, Some(&parent), name, &tar, &victim)?;
    }
    Ok(())
}

fn broken(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let good = TarWriter::default().file("f", &"content".repeat(200)).finish();
    let mut damaged = good.clone();
    damaged[0] ^= 0xff;
    let claiming = TarWriter::default().entry_claiming(Type::File, b"f", b"", b"short", 1 << 30).finish();
    let huge = TarWriter::default().entry_claiming(Type::Pax, b"x", b"", b"", 1 << 32).finish();
    let cases: [(&str, Vec<u8>); 8] = [
        ("cut in a header", good[..300].to_vec()),
        ("cut in the content", good[..1000].to_vec()),
        ("wrong checksum", damaged),
        ("no tar at all", b"this is no tar".repeat(100)),
        ("a size it does not have", claiming),
        ("an extended header of 4 GiB", huge),
        ("cut gzip", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b]),
        ("cut zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 0x24]),
    ];
    for (what, tar) in cases {
        let layer = cx.fresh_id("broken");
        driver.create(&layer, None, &CreateOptions::default())?;
        match driver.apply(&layer, &mut &*tar) {
            Err(Error::Layer { id, .. }) => ensure!(id == layer, "{what}: the error names {id}"),
            answer => return Err(Stop::failed(format!("{what}: {answer:?}"))),
        }
        driver.remove(&layer)?;
    }
    // Nothing at all is an empty layer to some tools; it must not be an error that leaves something behind.
    let layer = cx.create("nothing", None)?;
    _ = driver.apply(&layer, &mut &b""[..]);
    Ok(driver.remove(&layer)?)
}

fn devices(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let tar = TarWriter::default().entry(Type::Character, b"null", b"", b"").file("f", "x").finish();
    let layer = cx.create("devices", None)?;
    let answer = driver.apply(&layer, &mut &*tar);
    let able = driver.capabilities().device_nodes.is_yes();
    let stats = answer.during(|| format!("a device in a tar, where devices work: {able}"))?;
    let view = driver.mount(&layer, MountMode::ReadWrite)?;
    let made = view.path().join("null").symlink_metadata().is_ok();
    ensure!(view.path().join("f").exists(), "what follows a device was not made");
    view.close()?;
    ensure!(made == able, "devices work: {able}, and the device was made: {made}");
    ensure!(made || stats.skipped.len() == 1, "a device was left out without a note");
    Ok(())
}

//! What files carry, after the first write to a file of the parent.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use rustix::fs::XattrFlags;

use super::{Cell, features, words, yes_if};
use crate::{Context, Op, Verdict, context::all, keeps::files::child_of, op::AclKind, op::execute};

features! {
    "user.* xattrs" = user_xattrs;
    "trusted.* and security.* xattrs" = privileged_xattrs;
    "xattrs that overlayfs itself uses (trusted.overlay.*)" = overlay_xattrs;
    "file capabilities, when the mode changes" = capabilities;
    "POSIX ACLs, access and default" = acls;
    "set-user-id and sticky bits" = special_bits;
    "owners, when content changes" = owners;
    "modification times in nanoseconds" = times;
    "creation time, when content changes" = birth;
}

/// Sets an xattr in the parent, changes the file in the child, and looks.
fn kept(cx: &Context<'_>, names: &[&str]) -> Verdict<Cell> {
    let base = cx.changed("base", None, &[Op::file("f", "content")])?;
    for name in names {
        if let Err(error) = cx.change(&base, &[Op::xattr("f", name, "value")]) {
            return Ok(Cell::No(format!("{name} cannot be set: {}", text(&error))));
        }
    }
    cx.driver().seal(&base)?;
    let layer = cx.changed("layer", Some(&base), &[Op::append("f", "more")])?;
    let view = cx.read(&layer)?;
    let lost: Vec<_> = names.iter().filter(|name| xattr(&view.path().join("f"), name) != b"value").copied().collect();
    view.close()?;
    Ok(yes_if(lost.is_empty(), &format!("{} is lost", lost.join(", "))))
}

fn text(stop: &crate::Stop) -> &str {
    match stop {
        crate::Stop::Failed(text) | crate::Stop::NotApplicable(text) => {
            let text = text.rsplit(": ").next().unwrap_or(text);
            text.split(" (os error").next().unwrap_or(text)
        }
    }
}

fn xattr(path: &Path, name: &str) -> Vec<u8> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap_or(0);
    value.truncate(length);
    value
}

fn user_xattrs(cx: &Context<'_>) -> Verdict<Cell> {
    kept(cx, &["user.one", "user.two"])
}

fn privileged_xattrs(cx: &Context<'_>) -> Verdict<Cell> {
    kept(cx, &["trusted.one", "security.one"])
}

/// A container that runs a storage driver of its own writes these.
fn overlay_xattrs(cx: &Context<'_>) -> Verdict<Cell> {
    kept(cx, &["trusted.overlay.origin"])
}

/// `cap_net_bind_service=ep`: VFS_CAP_REVISION_2 with the effective bit (linux/capability.h).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn capabilities(cx: &Context<'_>) -> Verdict<Cell> {
    let base = cx.create("base", None)?;
    let view = cx.driver().mount(&base, storage_driver::MountMode::ReadWrite)?;
    all(view.path(), &[Op::file_mode("f", "content", 0o755)])?;
    let set = rustix::fs::lsetxattr(view.path().join("f"), "security.capability", &CAPABILITY, XattrFlags::empty());
    view.close()?;
    if let Err(error) = set {
        return Ok(Cell::No(format!("they cannot be set: {}", words(&error))));
    }
    cx.driver().seal(&base)?;
    // Writing would take them away on any file system.
    let layer = cx.changed("layer", Some(&base), &[Op::chmod("f", 0o700)])?;
    let view = cx.read(&layer)?;
    let found = xattr(&view.path().join("f"), "security.capability");
    view.close()?;
    Ok(yes_if(found == CAPABILITY, "they are lost"))
}

fn acls(cx: &Context<'_>) -> Verdict<Cell> {
    let ops = [
        Op::file("f", "content"),
        Op::mkdir("d"),
        Op::acl("f", AclKind::Access, 1000, 7),
        Op::acl("d", AclKind::Default, 1000, 5),
    ];
    let base = cx.create("base", None)?;
    let view = cx.driver().mount(&base, storage_driver::MountMode::ReadWrite)?;
    let set = all(view.path(), &ops);
    let of = |root: &Path| {
        (xattr(&root.join("f"), "system.posix_acl_access"), xattr(&root.join("d"), "system.posix_acl_default"))
    };
    let before = of(view.path());
    view.close()?;
    if let Err(stop) = set {
        return Ok(Cell::No(format!("they cannot be set: {}", text(&stop))));
    }
    cx.driver().seal(&base)?;
    let layer = cx.changed("layer", Some(&base), &[Op::append("f", "more"), Op::file("d/new", "x")])?;
    let view = cx.read(&layer)?;
    let after = of(view.path());
    let inherited = !xattr(&view.path().join("d/new"), "system.posix_acl_access").is_empty();
    view.close()?;
    Ok(yes_if(after == before && inherited, "they are lost or not inherited"))
}

fn special_bits(cx: &Context<'_>) -> Verdict<Cell> {
    let ops = [Op::file_mode("tool", "x", 0o4755), Op::mkdir_mode("tmp", 0o1777), Op::mkdir_mode("group", 0o2775)];
    let view = child_of(cx, &ops)?;
    // What brings them up and does not take them away.
    for path in ["tool", "tmp", "group"] {
        all(view.path(), &[Op::utimes(path, 1, 2)])?;
    }
    let mode = |name: &str| -> Verdict<u32> { Ok(fs::metadata(view.path().join(name))?.permissions().mode() & 0o7777) };
    let found = [mode("tool")?, mode("tmp")?, mode("group")?];
    view.close()?;
    Ok(yes_if(found == [0o4755, 0o1777, 0o2775], "they are lost"))
}

fn owners(cx: &Context<'_>) -> Verdict<Cell> {
    let base = cx.create("base", None)?;
    let view = cx.driver().mount(&base, storage_driver::MountMode::ReadWrite)?;
    all(view.path(), &[Op::file("f", "content")])?;
    let given = execute(view.path(), &Op::chown("f", 12, 34));
    view.close()?;
    if let Err(error) = given {
        return Ok(Cell::No(format!("files cannot be given away: {}", words(&error))));
    }
    cx.driver().seal(&base)?;
    let layer = cx.changed("layer", Some(&base), &[Op::append("f", "more")])?;
    let view = cx.read(&layer)?;
    let about = fs::metadata(view.path().join("f"))?;
    view.close()?;
    Ok(yes_if((about.uid(), about.gid()) == (12, 34), "the owner changes"))
}

fn times(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::file("f", "content"), Op::utimes("f", 1_234_567_890, 123_456_789)])?;
    // A change of the mode leaves the time of the content alone.
    all(view.path(), &[Op::chmod("f", 0o600)])?;
    let about = fs::metadata(view.path().join("f"))?;
    view.close()?;
    Ok(yes_if((about.mtime(), about.mtime_nsec()) == (1_234_567_890, 123_456_789), "they are rounded or lost"))
}

fn birth(cx: &Context<'_>) -> Verdict<Cell> {
    let view = child_of(cx, &[Op::file("f", "content")])?;
    let born = || fs::metadata(view.path().join("f")).and_then(|about| about.created());
    let before = born();
    all(view.path(), &[Op::append("f", "more")])?;
    let after = born();
    view.close()?;
    Ok(match (before, after) {
        (Ok(before), Ok(after)) => yes_if(before == after, "it is the time of the first write"),
        _ => Cell::No("the file system has none".to_owned()),
    })
}

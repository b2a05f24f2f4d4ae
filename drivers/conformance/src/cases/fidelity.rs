//! Everything a file can be and have, kept through every way a layer can take.

use std::time::Duration;

use crate::{
    Context, Data, Op, Stack, Verdict,
    case::{cases, devices_work, trusted_xattrs_work},
    op::AclKind,
    verdict::ensure,
};

cases! { "fidelity";
    "xattrs-user" = xattrs_user [UserXattrs]: "user xattrs are set, changed, removed, empty, binary and large";
    "xattrs-trusted" = xattrs_trusted [PrivilegedXattrs]: "trusted xattrs are kept on files, directories and symlinks";
    "xattrs-security" = xattrs_security [PrivilegedXattrs]: "security xattrs are kept";
    "file-capabilities" = file_capabilities [PrivilegedXattrs]: "file capabilities are kept, and lost with chown as the kernel does it";
    "acls" = acls [Acls]: "access and default ACLs are kept, changed and inherited";
    "hard-links" = hard_links: "hard-link groups are kept, within and across directories";
    "hard-links-of-parent" = hard_links_of_parent: "names of a group of the parent are removed, renamed, linked and written to";
    "hard-linked-specials" = hard_linked_specials: "symlinks and pipes can be hard-linked too";
    "holes" = holes: "holes at the start, in the middle and at the end stay holes";
    "holes-punched-in-parent" = holes_punched: "punching, growing and filling holes of the parent's files is seen";
    "device-nodes" = device_nodes [DeviceNodes]: "character and block devices are kept with their numbers";
    "whiteout-like-device" = whiteout_like_device [DeviceNodes]: "a change of a device's number, owner and mode is seen";
    "fifos" = fifos: "named pipes are kept";
    "symlinks" = symlinks: "symlinks are kept as they are written, long, absolute, dangling and looping ones too";
    "nanoseconds" = nanoseconds: "times are kept to the nanosecond, far in the past and the future too";
    "mode-bits" = mode_bits: "setuid, setgid, sticky and unreadable modes are kept";
    "large-ids" = large_ids [Owners]: "owners beyond seven octal digits are kept";
    "same-size-edit" = same_size_edit: "edits of the same size in the same second are seen, also when the time is set back";
    "type-changes" = type_changes: "every kind of file replaces every other";
    "empty-layer" = empty_layer: "layers without any change travel";
    "root-attributes" = root_attributes: "mode and xattrs of the root directory itself travel";
    "large-file" = large_file: "a file of several megabytes, changed in the middle, travels";
    "capabilities-tell-the-truth" = capabilities_truth: "what the driver says it cannot keep cannot be made on this machine";
}

fn xattrs_user(cx: &Context<'_>) -> Verdict {
    let binary: Vec<u8> = (0..=255).collect();
    Stack::check(
        cx,
        &[
            &[
                Op::file("f", "x"),
                Op::mkdir("d"),
                Op::xattr("f", "user.one", "1"),
                Op::xattr("f", "user.empty", ""),
                Op::xattr("d", "user.binary", &binary),
                Op::xattr("f", "user.with=sign \n", "a=b\n"),
            ],
            &[Op::xattr("f", "user.one", "2"), Op::remove_xattr("f", "user.empty"), Op::xattr("d", "user.new", "3")],
            &[Op::remove_xattr("f", "user.one"), Op::file("g", ""), Op::xattr("g", "user.large", "v".repeat(2000))],
            &[Op::remove_xattr("d", "user.binary"), Op::append("f", "y")],
            &[Op::chmod("d", 0o700)],
        ],
    )
}

fn xattrs_trusted(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[
                Op::file("f", "x"),
                Op::mkdir("d"),
                Op::symlink("f", "l"),
                Op::xattr("f", "trusted.one", "1"),
                Op::xattr("d", "trusted.two", [0, 1, 2]),
                Op::xattr("l", "trusted.three", "3"),
            ],
            &[
                Op::xattr("f", "trusted.one", "2"),
                Op::remove_xattr("d", "trusted.two"),
                Op::xattr("l", "trusted.three", "4"),
            ],
            &[Op::append("f", "y")],
        ],
    )
}

fn xattrs_security(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::file("f", "x"), Op::xattr("f", "security.conformance", "label")],
            &[Op::append("f", "y")],
            &[
                Op::xattr("f", "security.conformance", "other"),
                Op::mkdir("d"),
                Op::xattr("d", "security.conformance", ""),
            ],
        ],
    )
}

/// `struct vfs_cap_data` revision 2: `cap_net_bind_service` (10) permitted and effective
/// (include/uapi/linux/capability.h).
const NET_BIND: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn file_capabilities(cx: &Context<'_>) -> Verdict {
    let set = |path| Op::xattr(path, "security.capability", NET_BIND);
    Stack::check(
        cx,
        &[
            &[
                Op::file_mode("ping", "program", 0o755),
                set("ping"),
                Op::file_mode("other", "program", 0o755),
                set("other"),
            ],
            &[Op::chmod("ping", 0o700)],
            &[Op::chown("ping", 0, 0), Op::link("other", "again")],
            &[Op::remove_xattr("other", "security.capability")],
        ],
    )
}

fn acls(cx: &Context<'_>) -> Verdict {
    let user = 0;
    Stack::check(
        cx,
        &[
            &[
                Op::file("f", "x"),
                Op::mkdir("d"),
                Op::acl("f", AclKind::Access, user, 0o6),
                Op::acl("d", AclKind::Default, user, 0o7),
                Op::acl("d", AclKind::Access, user, 0o5),
            ],
            &[Op::mkdir("d/inherits"), Op::file("d/inherits/f", "y"), Op::acl("f", AclKind::Access, user, 0o4)],
            &[Op::chmod("f", 0o640), Op::append("d/inherits/f", "z")],
            &[Op::remove_xattr("f", "system.posix_acl_access"), Op::remove_xattr("d", "system.posix_acl_default")],
        ],
    )
}

fn hard_links(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[
                Op::mkdir("a"),
                Op::mkdir("z"),
                Op::file("a/1", "one"),
                Op::link("a/1", "a/2"),
                Op::link("a/1", "z/3"),
                Op::file("z/other", "two"),
                Op::link("z/other", "a/0"),
            ],
            &[Op::file("new", "three"), Op::link("new", "a/new"), Op::link("new", "z/new")],
            &[Op::file("b", "x"), Op::link("b", "c"), Op::append("c", "y"), Op::chmod("b", 0o600), Op::remove("b")],
            &[],
        ],
    )
}

fn hard_links_of_parent(cx: &Context<'_>) -> Verdict {
    let mut base = vec![Op::mkdir("d")];
    for group in ["w", "r", "m", "l", "c", "x"] {
        base.extend([
            Op::file(format!("d/{group}1"), group),
            Op::link(format!("d/{group}1"), format!("d/{group}2")),
            Op::link(format!("d/{group}1"), format!("{group}3")),
        ]);
    }
    Stack::check(
        cx,
        &[
            &base,
            &[Op::append("d/w1", "more"), Op::append("w3", "and more")],
            &[Op::remove("d/r1")],
            &[Op::remove("d/r2"), Op::rename("d/m1", "moved"), Op::link("d/l2", "l4")],
            &[Op::chmod("d/c2", 0o600), Op::utimes("c3", 5, 6)],
            &[Op::remove("d/x1"), Op::file("d/x1", "x"), Op::link("d/x1", "d/x5")],
            &[Op::append("moved", "!"), Op::append("l4", "!"), Op::remove_all("d")],
        ],
    )
}

fn hard_linked_specials(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::symlink("nowhere", "s1"), Op::link("s1", "s2"), Op::fifo("p1"), Op::link("p1", "p2")],
            &[Op::link("s1", "s3"), Op::chmod("p1", 0o600)],
            &[Op::remove("s1"), Op::remove("p2")],
        ],
    )
}

const MIB: u64 = 1 << 20;

fn block(seed: u64, len: usize) -> Data {
    Data::Random { seed, len }
}

fn holes(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[
                Op::file("all-hole", ""),
                Op::truncate("all-hole", 3 * MIB),
                Op::file("head", ""),
                Op::overwrite("head", MIB, block(1, 8192)),
                Op::file("tail", block(2, 8192)),
                Op::truncate("tail", 2 * MIB),
                Op::file("middle", block(3, 65536)),
                Op::overwrite("middle", MIB, block(4, 65536)),
                Op::file("odd", "x"),
                Op::overwrite("odd", 1_000_003, "y"),
                Op::truncate("odd", 2_000_001),
            ],
            // Copied up whole, and still sparse.
            &[
                Op::chmod("all-hole", 0o600),
                Op::overwrite("middle", 10, "zz"),
                Op::chmod("tail", 0o600),
                Op::append("odd", "end"),
            ],
            &[],
        ],
    )
}

fn holes_punched(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::file("f", block(1, 256 << 10)), Op::file("g", block(2, 128 << 10))],
            &[Op::punch("f", 64 << 10, 64 << 10), Op::truncate("g", 4 * MIB)],
            &[Op::overwrite("f", 96 << 10, block(3, 4096)), Op::overwrite("g", 3 * MIB, block(4, 4096))],
            &[Op::punch("f", 0, 256 << 10), Op::truncate("g", 0)],
        ],
    )
}

fn device_nodes(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[
                Op::mkdir("dev"),
                Op::character("dev/null", 1, 3),
                Op::block("dev/sda", 8, 0),
                // xfs numbers as SVR4 did, with 18 bits for the minor (include/linux/kdev_t.h).
                Op::character("dev/big", 511, 262_143),
            ],
            &[Op::remove("dev/null"), Op::character("dev/zero", 1, 5), Op::chmod("dev/sda", 0o600)],
            &[Op::link("dev/zero", "dev/zero2"), Op::rename("dev/sda", "dev/sdb")],
        ],
    )
}

/// Overlayfs marks deletions with character device 0:0, so nodes near it must not be taken for one.
fn whiteout_like_device(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::character("c", 0, 1), Op::block("b", 0, 0), Op::character("d", 1, 0)],
            &[Op::remove("c"), Op::character("c", 1, 1), Op::chmod("b", 0o600), Op::remove("d"), Op::block("d", 0, 0)],
        ],
    )
}

fn fifos(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::fifo("p"), Op::mkdir("d"), Op::fifo("d/q")],
            &[Op::chmod("p", 0o600), Op::rename("d/q", "d/r"), Op::fifo("new")],
            &[Op::remove("p"), Op::file("p", "a file now")],
        ],
    )
}

fn symlinks(cx: &Context<'_>) -> Verdict {
    // xfs keeps 1024 bytes with the zero at their end (fs/xfs/libxfs/xfs_format.h), others a page.
    let long = "x/".repeat(511);
    Stack::check(
        cx,
        &[
            &[
                Op::mkdir("d"),
                Op::symlink("d", "to-directory"),
                Op::symlink("/absolute/path", "absolute"),
                Op::symlink("../../../..", "up"),
                Op::symlink("loop", "loop"),
                Op::symlink(&long, "long"),
                Op::symlink("y".repeat(100), "exactly-100"),
                Op::symlink("y".repeat(101), "just-101"),
                Op::symlink("new\nline", "odd"),
            ],
            &[
                Op::remove("to-directory"),
                Op::symlink("other", "to-directory"),
                Op::utimes("absolute", 7, 8),
                Op::rename("up", "d/up"),
            ],
            &[Op::remove("to-directory"), Op::mkdir("to-directory"), Op::file("to-directory/f", "x")],
            &[Op::remove_all("d"), Op::symlink("to-directory", "d")],
        ],
    )
}

fn nanoseconds(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[
                Op::file("f", "x"),
                Op::mkdir("d"),
                Op::symlink("f", "l"),
                Op::utimes("f", 1_600_000_000, 1),
                Op::utimes("d", 1_600_000_000, 999_999_999),
                Op::utimes("l", 1_600_000_000, 123_456_789),
                Op::file("epoch", ""),
                Op::utimes("epoch", 0, 0),
                Op::file("before", ""),
                Op::utimes("before", -86_401, 500_000_000),
                Op::file("later", ""),
                Op::utimes("later", 4_294_967_296, 7),
            ],
            &[Op::utimes("f", 1_600_000_000, 2), Op::utimes("l", 1_600_000_000, 123_456_788)],
            &[Op::utimes("d", 1_600_000_000, 0), Op::utimes("before", 0, 0)],
        ],
    )
}

fn mode_bits(cx: &Context<'_>) -> Verdict {
    let modes = [0o0000, 0o0001, 0o0400, 0o0777, 0o1777, 0o2755, 0o4711, 0o6555, 0o7777];
    let mut first = vec![];
    let mut second = vec![];
    for mode in modes {
        first.push(Op::file_mode(format!("f{mode:04o}"), "x", mode));
        first.push(Op::mkdir_mode(format!("d{mode:04o}"), mode));
        second.push(Op::chmod(format!("f{mode:04o}"), 0o7777 ^ mode));
        second.push(Op::file(format!("d{mode:04o}/f"), "y"));
    }
    Stack::check(cx, &[&first, &second])
}

fn large_ids(cx: &Context<'_>) -> Verdict {
    // Beyond 0o7777777 = 2097151, where ustar's fields end; where the user namespace has them.
    let probe = cx.directory("probe")?;
    let ids = if crate::op::execute(&probe, &Op::chown("", 4_000_000, 4_000_001)).is_ok() {
        [4_000_000, 4_000_001, 2_097_152]
    } else {
        [65_000, 65_001, 65_002]
    };
    Stack::check(
        cx,
        &[
            &[Op::file("f", "x"), Op::chown("f", ids[0], ids[1]), Op::mkdir("d"), Op::chown("d", ids[2], 0)],
            &[Op::symlink("f", "l"), Op::chown("l", ids[1], ids[0]), Op::append("f", "y")],
        ],
    )
}

/// moby#8242 and docker#21555: times are equal in the second, or even to the nanosecond, and the content is not.
fn same_size_edit(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let time = |nanoseconds| Op::utimes("f", 1_600_000_000, nanoseconds);
    let cases: [(&str, &[Op], &[Op]); 4] = [
        ("the same second", &[time(100)], &[Op::overwrite("f", 0, "B"), time(200)]),
        ("a whole second", &[time(0)], &[Op::overwrite("f", 0, "B"), time(1)]),
        ("the same nanosecond", &[time(100)], &[Op::overwrite("f", 0, "B"), time(100)]),
        ("as the clock has it", &[], &[Op::overwrite("f", 0, "B")]),
    ];
    for (number, (what, below, above)) in cases.into_iter().enumerate() {
        let mut ops = vec![Op::file("f", "A same-sized content")];
        ops.extend_from_slice(below);
        let base = cx.sealed(&format!("base-{number}"), None, &ops)?;
        let top = cx.sealed(&format!("top-{number}"), Some(&base), above)?;
        let changes: Vec<_> = driver.changes(&top)?.iter().map(ToString::to_string).collect();
        ensure!(changes == ["C /f"], "{what}: the changes are {changes:?}");
        let mut tar = vec![];
        driver.diff(&top, &mut tar)?;
        let sibling = cx.create(&format!("sibling-{number}"), Some(&base))?;
        driver.apply(&sibling, &mut &*tar)?;
        driver.seal(&sibling)?;
        let view = cx.read(&sibling)?;
        let content = std::fs::read_to_string(view.path().join("f"))?;
        ensure!(content == "B same-sized content", "{what}: the diff carried {content:?}");
        view.close()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn type_changes(cx: &Context<'_>) -> Verdict {
    type Make = fn(&str) -> Op;
    let kinds: [(&str, Make); 4] = [
        ("file", |path| Op::file(path, "content")),
        ("directory", |path| Op::mkdir(path)),
        ("symlink", |path| Op::symlink("target", path)),
        ("fifo", |path| Op::fifo(path)),
    ];
    let (mut first, mut second, mut third) = (vec![], vec![], vec![]);
    for (from, make_old) in kinds {
        for (to, make_new) in kinds {
            let path = format!("{from}-to-{to}");
            first.push(make_old(&path));
            if from == "directory" {
                first.push(Op::file(format!("{path}/inside"), "old"));
            }
            second.extend([Op::remove_all(&path), make_new(&path)]);
            if to == "directory" {
                second.push(Op::file(format!("{path}/inside"), "new"));
            }
            third.extend([Op::remove_all(&path), make_old(&path)]);
        }
    }
    Stack::check(cx, &[&first, &second, &third])
}

fn empty_layer(cx: &Context<'_>) -> Verdict {
    Stack::check(cx, &[&[], &[], &[Op::file("f", "x")], &[], &[]])
}

fn root_attributes(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::chmod("", 0o1711), Op::file("f", "x")],
            &[Op::chmod("", 0o750)],
            &[Op::remove("f")],
            &[Op::chmod("", 0o755)],
        ],
    )
}

fn large_file(cx: &Context<'_>) -> Verdict {
    Stack::check(
        cx,
        &[
            &[Op::file("big", block(1, 6 << 20))],
            &[Op::overwrite("big", 3 * MIB, "four")],
            &[Op::truncate("big", 5 * MIB + 1), Op::append("big", block(2, 1000))],
        ],
    )
}

fn capabilities_truth(cx: &Context<'_>) -> Verdict {
    let driver = cx.driver();
    let capabilities = driver.capabilities();
    let scratch = cx.directory("scratch")?;
    let devices = devices_work(&scratch);
    let declared = capabilities.device_nodes.is_yes();
    ensure!(
        devices == declared,
        "device nodes work here: {devices}, and the driver says: {:?}",
        capabilities.device_nodes
    );
    let xattrs = trusted_xattrs_work(&scratch);
    let declared = capabilities.privileged_xattrs.is_yes();
    ensure!(
        xattrs == declared,
        "trusted xattrs work here: {xattrs}, and the driver says: {:?}",
        capabilities.privileged_xattrs
    );
    Ok(())
}

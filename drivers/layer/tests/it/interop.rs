//! What we write, GNU tar and Python read alike; what they write, we read.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::Path,
    process::Command,
};

use storage_layer::Rules;

use crate::tree_maker::{Tree, diff, lay};

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; install tar and python3"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything that an ordinary user can make.
fn make(tree: &Tree) {
    let hundred = "h".repeat(100);
    let deep = format!("{0}/{0}/{0}/{0}", "d".repeat(90));
    tree.file("plain", "text").link("linked", "plain").symlink("soft", "plain").fifo("fifo").dir("empty");
    tree.file(&hundred, "name of 100").file(&format!("{hundred}x"), "name of 101").file(&"n".repeat(255), "of 255");
    tree.file(&format!("{deep}/leaf"), "path beyond 256").symlink("long", &"t".repeat(300));
    tree.symlink("utf8-link", "zürich").file("zürich", "utf-8").link(&"k".repeat(200), &hundred);
    fs::write(tree.0.join(std::ffi::OsStr::from_bytes(b"bytes-\xff\xfe")), "not utf-8").unwrap();
    tree.mtime("plain", 1_234_567_890, 987_654_321).mtime("empty", 1, 1).mode("plain", 0o6755).mode("empty", 0o1777);
    tree.mtime("zürich", -5, 500_000_000);
    let sparse = fs::File::create(tree.at("sparse")).unwrap();
    sparse.write_all_at(b"start", 0).unwrap();
    sparse.write_all_at(b"middle", 1 << 20).unwrap();
    sparse.set_len(3 << 20).unwrap();
    let hole = fs::File::create(tree.at("hole")).unwrap();
    hole.set_len(100_000).unwrap();
}

fn make_privileged(tree: &Tree) {
    make(tree);
    tree.xattr("plain", "user.note", "with=equals").xattr("plain", "user.100%=x", b"\0binary\xff".as_slice());
    tree.xattr("empty", "trusted.mark", "dir").owner("sparse", 3_000_000, 4_000_000_000);
    tree.node("null", rustix::fs::FileType::CharacterDevice, 1, 3).node("sda", rustix::fs::FileType::BlockDevice, 8, 0);
    tree.owner("soft", 12, 34).xattr("soft", "trusted.link", "on a symlink");
}

fn ours(tree: &Tree, dir: &Path) -> std::path::PathBuf {
    let path = dir.join("ours.tar");
    fs::write(&path, diff(None, tree).0).unwrap();
    path
}

#[track_caller]
fn assert_same(found: &Tree, expected: &Tree, rules: Rules) {
    let differences = expected.manifest().compare(&found.manifest(), &Rules { ignore_root: true, ..rules });
    let text: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert!(text.is_empty(), "{}", text.join("\n"));
}

#[test]
fn privileged_gnu_tar_reads_ours() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, out) = (Tree::new(dir.path(), "tree"), Tree::new(dir.path(), "out"));
    make_privileged(&tree);
    let tar = ours(&tree, dir.path());
    let mut command = Command::new("tar");
    command.args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf"]).arg(&tar).arg("-C").arg(&out.0);
    run(&mut command);
    assert_same(&out, &tree, Rules::default());
}

#[test]
fn gnu_tar_in_a_plain_locale_reads_ours() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, out) = (Tree::new(dir.path(), "tree"), Tree::new(dir.path(), "out"));
    make(&tree);
    let tar = ours(&tree, dir.path());
    run(Command::new("tar").env("LC_ALL", "C").arg("-xpf").arg(&tar).arg("-C").arg(&out.0));
    assert_same(&out, &tree, Rules::default());
}

#[test]
fn python_reads_ours() {
    const LIST: &str = r#"
import sys, tarfile, hashlib, os
with tarfile.open(sys.argv[1]) as tar:
    for m in tar:
        data = hashlib.sha256(tar.extractfile(m).read()).hexdigest() if m.isreg() else "-"
        line = "%s|%s|%o|%d|%d|%s|%s" % (m.name, m.type.decode(), m.mode, m.size, int(m.mtime), m.linkname, data)
        sys.stdout.buffer.write(os.fsencode(line) + b"\n")
"#;
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::new(dir.path(), "tree");
    make(&tree);
    let tar = ours(&tree, dir.path());
    let output = Command::new("python3").args(["-c", LIST]).arg(&tar).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let sha = |path: &str| storage_layer::Digest::of(&fs::read(tree.at(path)).unwrap()).hex();
    for expected in [
        // The first name of an inode carries the data.
        format!("linked|0|6755|4|1234567890||{}", sha("plain")),
        "plain|1|6755|0|1234567890|linked|-".into(),
        format!("sparse|0|644|{}|", 3 << 20),
        format!("{}|0|644|", "n".repeat(255)),
        format!("long|2|777|0|{}", ""),
    ] {
        assert!(text.contains(&expected), "no {expected} in\n{text}");
    }
    assert!(text.contains(&sha("sparse")) && text.contains(&sha("hole")));
    assert!(output.stdout.windows(8).any(|bytes| bytes == b"bytes-\xff\xfe"), "the raw bytes of a name are lost");
}

#[test]
fn privileged_we_read_every_format_of_gnu_tar() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::new(dir.path(), "tree");
    make_privileged(&tree);
    for (round, format) in [
        &["--format=gnu"][..],
        &["--format=gnu", "--sparse"],
        &["--format=pax"],
        &["--format=pax", "--xattrs", "--xattrs-include=*"],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
    ]
    .iter()
    .enumerate()
    {
        let tar = dir.path().join("theirs.tar");
        let mut command = Command::new("tar");
        run(command.args(["--numeric-owner"]).args(*format).arg("-cf").arg(&tar).arg("-C").arg(&tree.0).arg("."));
        let out = Tree::new(dir.path(), &format!("out{round}"));
        lay(&fs::read(&tar).unwrap(), &out);
        let is_pax = format[0] == "--format=pax";
        let mut rules =
            Rules { ignore_times: !is_pax, ignore_holes: !format.contains(&"--sparse"), ..Rules::default() };
        if !format.contains(&"--xattrs") {
            let names = ["user.note", "user.100%=x", "trusted.mark", "trusted.link"];
            rules.ignore_xattrs = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        }
        assert_same(&out, &tree, rules);
    }
}

#[test]
fn we_read_what_python_writes() {
    const WRITE: &str = r#"
import sys, tarfile
for form in ("GNU", "PAX"):
    with tarfile.open("%s/%s.tar" % (sys.argv[2], form), "w", format=getattr(tarfile, form + "_FORMAT")) as tar:
        tar.add(sys.argv[1], arcname=".")
"#;
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::new(dir.path(), "tree");
    make(&tree);
    run(Command::new("python3").args(["-c", WRITE]).arg(&tree.0).arg(dir.path()));
    for form in ["GNU", "PAX"] {
        let out = Tree::new(dir.path(), form);
        lay(&fs::read(dir.path().join(format!("{form}.tar"))).unwrap(), &out);
        // Python keeps mtimes as floating point.
        assert_same(&out, &tree, Rules { ignore_times: true, ignore_holes: true, ..Rules::default() });
    }
}

#[test]
fn privileged_capabilities_and_acls_survive() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, out) = (Tree::new(dir.path(), "tree"), Tree::new(dir.path(), "out"));
    tree.file("tool", "x").file("shared/file", "x").owner("tool", 7, 7).mode("tool", 0o4755);
    run(Command::new("setcap").arg("cap_net_raw+ep").arg(tree.at("tool")));
    run(Command::new("setfacl").args(["-m", "u:42:rw"]).arg(tree.at("shared/file")));
    run(Command::new("setfacl").args(["-d", "-m", "g:43:r"]).arg(tree.at("shared")));
    // Inside `shared` a new file would inherit; one without an ACL must not have got one.
    tree.file("shared/plain", "x");
    run(Command::new("setfacl").arg("-b").arg(tree.at("shared/plain")));
    let (tar, stats) = diff(None, &tree);
    assert!(stats.skipped.is_empty());
    assert!(lay(&tar, &out).skipped.is_empty());
    out.assert_like(&tree);
    let manifest = out.manifest();
    assert!(manifest.entries[&b"tool"[..]].xattrs.contains_key(&b"security.capability"[..]));
    assert!(manifest.entries[&b"shared"[..]].xattrs.contains_key(&b"system.posix_acl_default"[..]));
    assert!(manifest.entries[&b"shared/plain"[..]].xattrs.is_empty());
    assert_eq!(diff(None, &out).0, tar);
}

//! What is small and says that it is large, or that never ends: refused by name, in little memory, and nothing of it stays.
//! The data directory is on a disk of 40 MB.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use crate::{
    full_disk::Small,
    place::{Answer, DRIVERS, entries, program},
};

/// More memory than this no hostile input gets.
const MOST: u64 = 64 << 20;

/// Makes archives: gzip takes members one after the other, so that a terabyte is as soon made as a megabyte.
const MAKER: &str = r#"
import gzip, hashlib, io, json, random, subprocess, sys, tarfile
kind, path = sys.argv[1:]
zeros = gzip.compress(bytes(16 << 20), 9)

def header(name, size):
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)

def zstd(content, *options):
    return subprocess.run(['zstd', '-q', '-c', *options], input=content, stdout=subprocess.PIPE, check=True).stdout

# Of a stream the window is as large as is asked for, and every byte of it is used.
def wide(window):
    return zstd(header('noise', 96 << 20) + random.Random(1).randbytes(1 << 20) * 96, '-1', f'--long={window}')

def huge(name, gigabytes, before=b''):
    out = gzip.compress(before + header(name, gigabytes << 30)) + zeros * (gigabytes * 64)
    return out + gzip.compress(bytes(1024))

def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()

def image(layer, history=b''):
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:' + b'0' * 64
    config += b'"]},"history":[' + history + b']}'
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["bomb:1"], "Layers": ["layer.tar"]}]).encode()
    return tar([("config.json", config), ("layer.tar", layer), ("manifest.json", manifest)])

if kind == 'layer':
    made = image(huge('zeros', 8))
elif kind == 'zstd layer':
    made = image(zstd(header('zeros', 8 << 30)) + zstd(bytes(16 << 20)) * 512 + zstd(bytes(1024)))
elif kind == 'window':
    made = image(wide(27))
elif kind == 'widest window':
    made = image(wide(25))
elif kind == 'configuration':
    made = image(tar([]), b'{},' * (5 << 20) + b'{}')
elif kind == 'entry':
    made = header('layer.tar', 1 << 40)
elif kind == 'context':
    file = b'FROM scratch\nCOPY . /\n'
    before = header('Dockerfile', len(file)) + file + bytes(512 - len(file))
    made = huge('zeros', 8, before)
elif kind == 'headers':
    pax = tarfile.TarInfo('x')
    pax.type = b'g'
    block = gzip.compress(pax.tobuf(tarfile.GNU_FORMAT) * 65536, 9)
    made = gzip.compress(header('Dockerfile', 0)) + block * 100
elif kind == 'entries':
    many = b''.join(header(f'{number:07}' + 'n' * 90, 0) for number in range(100000))
    made = gzip.compress(many, 1)
with open(path, 'wb') as out:
    out.write(made)
"#;

fn made(small: &Small, kind: &str) -> PathBuf {
    let path = small.place.dir.path().join(format!("{kind}.bomb"));
    let done = Command::new("python3").args(["-c", MAKER, kind]).arg(&path).status().expect("install python3");
    assert!(done.success(), "{kind}");
    path
}

/// Runs a command and writes down the most memory that it had, in KiB (getrusage(2), `ru_maxrss`).
const WATCHER: &str = "
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], 'w') as out:
    out.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
";

/// Runs a command with temporary files on the small disk, too.
fn run(small: &Small, args: &[&str], input: Stdio) -> Answer {
    let temporary = small.place.root().join("temporary");
    fs::create_dir_all(&temporary).unwrap();
    let peak = small.place.dir.path().join("peak");
    let mut watched = Command::new("python3");
    watched.args(["-c", WATCHER]).arg(&peak).arg(program()).args(args).arg("--root").arg(small.place.root());
    let answer = Answer::of(&watched.env("TMPDIR", &temporary).stdin(input).output().expect("install python3"));
    let peak: u64 = fs::read_to_string(peak).unwrap().parse().unwrap();
    assert!((1 << 20..MOST).contains(&(peak << 10)), "{args:?} took {peak} KiB");
    assert_eq!(entries(&temporary), 0, "{args:?} left something");
    fs::remove_dir(&temporary).unwrap();
    answer
}

fn open(path: impl AsRef<Path>) -> Stdio {
    File::open(path).unwrap().into()
}

/// One line for a person, and not more.
fn is_short(answer: Answer) {
    assert!(answer.err.lines().count() <= 4 && answer.err.len() < 1000, "{answer:#?}");
}

#[test]
fn privileged_archives_of_images_that_expand() {
    let small = Small::new();
    let before = small.holds("vfs");
    for (kind, why) in [
        ("layer", "the size of the tar"),
        ("zstd layer", "the size of the tar"),
        ("window", "its zstd window is larger than the 32 MiB"),
        ("widest window", "the size of the tar"),
        ("configuration", "values, more than"),
        ("entry", "its entry \"layer.tar\" has 1.10TB, and there is room for"),
    ] {
        let archive = made(&small, kind);
        let refused = run(&small, &["load", "-i", archive.to_str().unwrap()], Stdio::null()).status_is(1).says(why);
        is_short(refused);
        assert_eq!(small.holds("vfs"), before, "{kind}");
    }
    assert_eq!(small.place.run(&["gc"]).ok().out, "nothing was left behind\n");
}

#[test]
fn privileged_a_layout_that_claims_more_than_there_is_room_for() {
    let small = Small::new();
    let before = small.holds("vfs");
    let layout = small.place.dir.path().join("layout");
    small.place.run(&["push", "-q", "bb", &format!("oci:{}:1", layout.display())]).ok();
    // The manifest says that its layer is larger than the disk.
    let blobs = layout.join("blobs/sha256");
    let index: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(blobs.join(digest)).unwrap()).unwrap();
    manifest["layers"][0]["size"] = (1_u64 << 39).into();
    manifest["layers"][0]["digest"] = format!("sha256:{}", "1".repeat(64)).into();
    let text = manifest.to_string();
    let digest = harness_image::Digest::of(text.as_bytes());
    fs::write(blobs.join(digest.hex()), &text).unwrap();
    let mut index = index;
    index["manifests"][0]["digest"] = digest.to_string().into();
    index["manifests"][0]["size"] = text.len().into();
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    let pull = ["pull", "--tag", "large", &format!("oci:{}:1", layout.display())];
    run(&small, &pull, Stdio::null()).status_is(1).says("has 550GB, and there is room for");
    assert_eq!(small.holds("vfs"), before);
    assert_eq!(small.place.run(&["gc"]).ok().out, "nothing was left behind\n");
}

#[test]
fn privileged_contexts_that_expand_or_never_end() {
    let small = Small::new();
    let before = small.holds("vfs");
    let build = ["build", "--driver", "vfs", "-q", "-"];
    let endless = run(&small, &build, open("/dev/zero"));
    is_short(endless.status_is(2).says("does not end"));
    for kind in ["context", "headers"] {
        let archive = made(&small, kind);
        is_short(run(&small, &build, open(archive)).status_is(2).says("the size of the tar"));
    }
    let many = made(&small, "entries");
    is_short(run(&small, &build, open(many)).status_is(2).says("No space left on device"));
    assert_eq!(small.holds("vfs"), before);
    assert_eq!(small.place.run(&["gc"]).ok().out, "nothing was left behind\n");
}

/// Answers every request with zeroes until nobody listens.
fn endless_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            while stream.write_all(&[0; 65536]).is_ok() {}
        }
    });
    address
}

#[test]
fn privileged_what_add_fetches_ends_where_there_is_no_room() {
    let small = Small::new();
    let before = small.holds("vfs");
    let dockerfile = format!("FROM scratch\nADD http://{}/file /\n", endless_server());
    let context = small.place.context(&[("Dockerfile", &dockerfile)]);
    let build = ["build", "--driver", "vfs", "-q", context.to_str().unwrap()];
    let refused = run(&small, &build, Stdio::null()).status_is(1).says("Dockerfile:2:5").says("that there is room for");
    is_short(refused);
    assert_eq!(small.holds("vfs"), before);
    assert_eq!(small.place.run(&["gc"]).ok().out, "nothing was left behind\n");
}

#[test]
fn privileged_archives_that_add_unpacks_end_with_the_disk() {
    for driver in DRIVERS {
        let small = Small::new();
        let context = small.place.context(&[("Dockerfile", "FROM bb\nADD bomb.tar.gz /\n")]);
        fs::rename(made(&small, "context"), context.join("bomb.tar.gz")).unwrap();
        small.place.container(&["--driver", driver, "--rm"], &["bb", "/bin/echo"]).ok();
        let before = small.holds(driver);
        let build = ["build", "--driver", driver, "-q", context.to_str().unwrap()];
        let refused = run(&small, &build, Stdio::null()).says("bomb.tar.gz").says("No space left on device");
        assert_ne!(refused.status, 0);
        is_short(refused);
        // There is room again at once.
        assert_eq!(small.holds(driver), before, "{driver}");
        small.place.container(&["--driver", driver, "--rm"], &["bb", "/bin/echo"]).ok();
        assert_eq!(small.place.run(&["gc"]).ok().out, "nothing was left behind\n");
    }
}

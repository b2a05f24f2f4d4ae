//! Debian's docker-registry on this machine, and skopeo at its other side.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use harness_image::{Digest, Image};
use harness_transfer::{Done, Error, Options, Watch, pull, push, tags};
use oci_spec::image::ImageConfigurationBuilder;
use tempfile::TempDir;

use crate::support::{Fixture, at, run, skopeo};

struct Registry {
    child: Child,
    address: String,
    dir: TempDir,
}

impl Registry {
    /// On a port that the kernel chooses; `http` and `more` are lines of its configuration.
    fn start(http: &str, more: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), http, more)
    }

    fn start_in(dir: TempDir, http: &str, more: &str) -> Self {
        let file = dir.path().join("config.yml");
        let data = dir.path().join("data");
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http:\n  addr: 127.0.0.1:0\n{http}{more}",
            data.display()
        );
        fs::write(&file, config).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run docker-registry: {error}; install docker-registry"));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            said.push_str(&line);
            let (_, after) = line.split_once("listening on ")?;
            Some(after.split([',', '"', ' ']).next()?.to_owned())
        });
        let address = address.unwrap_or_else(|| panic!("docker-registry did not start: {said}"));
        // Its log must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, dir }
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Remembers what happened to blobs.
#[derive(Default)]
struct Notes(Mutex<Vec<(Digest, Done)>>);

impl Watch for Notes {
    fn done(&self, blob: &Digest, how: Done) {
        self.0.lock().unwrap().push((*blob, how));
    }
}

impl Notes {
    fn count(&self, wanted: Done) -> usize {
        self.0.lock().unwrap().iter().filter(|(_, how)| *how == wanted).count()
    }
}

fn pushed(fixture: &Fixture, image: &Image, name: &str, options: &Options) -> Notes {
    let notes = Notes::default();
    push(&fixture.store, image, &name.parse().unwrap(), options, &notes).unwrap();
    notes
}

fn pulled(fixture: &Fixture, name: &str, options: &Options) -> Result<Image, Error> {
    let name = name.parse().unwrap();
    pull(&fixture.store, &name, std::slice::from_ref(&name), options, &())
}

#[test]
fn an_image_goes_there_and_comes_back_byte_for_byte() {
    let registry = Registry::start("", "");
    let ours = Fixture::new();
    let (name, options) = (registry.name("team/mixed:1"), Options::default());
    let image = ours.mixed(&[&name]);
    assert_eq!(pushed(&ours, &image, &name, &options).count(Done::Moved), 4);
    assert_eq!(pushed(&ours, &image, &name, &options).count(Done::Present), 4, "what is there is not sent again");
    let theirs = Fixture::new();
    let back = pulled(&theirs, &name, &options).unwrap();
    assert_eq!(back, image);
    theirs.assert_clean();
    // The same repository under its digest.
    let fixed = format!("{}@{}", registry.name("team/mixed"), image.manifest_digest);
    let bare = Fixture::new();
    let taken = pull(&bare.store, &fixed.parse().unwrap(), &[], &options, &()).unwrap();
    assert_eq!(taken.id, image.id);
    assert_eq!(bare.store.resolve(&fixed).unwrap().id, image.id);
    let error = pulled(&theirs, &registry.name("team/mixed:2"), &options).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("has no image \"2\""), "{error}");
}

#[test]
fn skopeo_pulls_what_was_pushed_and_the_other_way() {
    let registry = Registry::start("", "");
    let ours = Fixture::new();
    let (name, options) = (registry.name("gzipped:1"), Options::default());
    let image = ours.gzipped(&[&name]);
    pushed(&ours, &image, &name, &options);
    let dir = ours.path("dir");
    skopeo(&format!("docker://{name}"), &at("dir", &dir), &["--src-tls-verify=false"]);
    assert!(dir.join(image.layers()[1].digest.hex()).exists());
    // docker's media types, and zstd layers, as others push them.
    for (format, more) in [("v2s2", ["--dest-compress-format", "gzip"]), ("oci", ["--dest-compress-format", "zstd"])] {
        let other = registry.name(&format!("theirs-{format}:1"));
        let more = [&["--dest-tls-verify=false", "--format", format, "--dest-compress"][..], &more].concat();
        skopeo(&at("dir", &dir), &format!("docker://{other}"), &more);
        let theirs = Fixture::new();
        let taken = pulled(&theirs, &other, &options).unwrap();
        assert_eq!(taken.chain(), image.chain(), "{format}");
        theirs.assert_clean();
    }
}

#[test]
fn a_list_of_manifests_gives_the_one_for_this_machine() {
    let registry = Registry::start("", "");
    let ours = Fixture::new();
    let options = Options::default();
    let image = ours.gzipped(&[]);
    let other = ImageConfigurationBuilder::default().architecture("mips64le").os("linux").build().unwrap();
    let other = ours.store.put_image(other, image.layers().to_vec()).unwrap();
    // A layout whose index has a list of two platforms, as buildx makes it.
    let (blobs, dir) = (ours.store.blobs(), ours.path("layout"));
    let host = harness_transfer::Platform::host();
    let entry = |image: &Image, architecture: &str| {
        serde_json::json!({"mediaType": image.media_type.to_string(), "digest": image.manifest_digest,
            "size": image.manifest_size.get(), "platform": {"os": "linux", "architecture": architecture}})
    };
    let list = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry(&other, "mips64le"), entry(&image, &host.architecture)]});
    let list = blobs.put(list.to_string().as_bytes()).unwrap();
    fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    for blob in blobs.list().unwrap() {
        fs::copy(blobs.path(&blob.digest), dir.join("blobs/sha256").join(blob.digest.hex())).unwrap();
    }
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": list.digest, "size": list.size.get()}]});
    fs::write(dir.join("index.json"), index.to_string()).unwrap();
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let name = registry.name("multi:1");
    skopeo(
        &at("oci", &dir),
        &format!("docker://{name}"),
        &["--dest-tls-verify=false", "--multi-arch=all", "--preserve-digests"],
    );
    let theirs = Fixture::new();
    assert_eq!(pulled(&theirs, &name, &options).unwrap().manifest_digest, image.manifest_digest);
    let of = |platform: &str| Options { platform: Some(platform.parse().unwrap()), ..Options::default() };
    assert_eq!(pulled(&theirs, &name, &of("linux/mips64le")).unwrap().manifest_digest, other.manifest_digest);
    let error = pulled(&theirs, &name, &of("linux/s390x")).unwrap_err().to_string();
    assert!(error.contains("no image for linux/s390x; it has \"linux/mips64le\""), "{error}");
    // One that is in no list is of one platform all the same.
    let alone = registry.name("alone:1");
    pushed(&ours, &other, &alone, &options);
    assert_eq!(pulled(&theirs, &alone, &options).unwrap().id, other.id);
    let error = pulled(&theirs, &alone, &of("linux/s390x")).unwrap_err().to_string();
    assert!(error.contains("it has \"linux/mips64le\""), "{error}");
    theirs.assert_clean();
}

#[test]
fn all_tags_of_a_repository_are_listed() {
    let registry = Registry::start("", "");
    let ours = Fixture::new();
    let image = ours.image(&["a"], &[]);
    let names: Vec<_> = ["1", "2.0", "latest"].iter().map(|tag| registry.name(&format!("team/app:{tag}"))).collect();
    names.iter().for_each(|name| _ = pushed(&ours, &image, name, &Options::default()));
    let listed = |name: &str| tags(&registry.name(name).parse().unwrap(), &Options::default());
    let found: Vec<_> = listed("team/app").unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(found, names);
    let error = listed("nothing").unwrap_err().to_string();
    assert!(error.contains("listing tags failed with status 404") && error.contains("NAME_UNKNOWN"), "{error}");
}

#[test]
fn layers_of_a_neighbour_are_not_sent_again() {
    let registry = Registry::start("", "");
    let ours = Fixture::new();
    let (first, second) = (registry.name("first:1"), registry.name("second:1"));
    let image = ours.mixed(&[&first]);
    let options = Options::default();
    pushed(&ours, &image, &first, &options);
    let notes = pushed(&ours, &image, &second, &options);
    assert_eq!((notes.count(Done::Mounted), notes.count(Done::Moved)), (3, 1), "only the configuration is sent");
    assert_eq!(pulled(&Fixture::new(), &second, &options).unwrap().id, image.id);
}

/// htpasswd takes bcrypt alone; this is `htpasswd -nbB me secret`, at the least cost.
fn users(dir: &Path) -> String {
    let line = run("apache2-utils", "htpasswd", &["-nbBC", "4", "me", "secret"]);
    let file = dir.join("htpasswd");
    fs::write(&file, line).unwrap();
    format!("auth:\n  htpasswd:\n    realm: here\n    path: {}\n", file.display())
}

#[test]
fn a_registry_with_passwords_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (key, cert) = (dir.path().join("key.pem"), dir.path().join("ca.crt"));
    let (key, cert) = (key.to_str().unwrap(), cert.to_str().unwrap());
    let subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
    let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let ends = ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert];
    run("openssl", "openssl", &[&request[..], &subject, &ends].concat());
    let users = users(dir.path());
    let registry = Registry::start_in(dir, &format!("  tls: {{certificate: {cert}, key: {key}}}\n"), &users);
    let ours = Fixture::new();
    let name = registry.name("secret:1");
    let image = ours.mixed(&[&name]);
    let auth_file = ours.path("config.json");
    let login = |words: &str| {
        let auths = serde_json::json!({"auths": {&registry.address: {"auth": STANDARD.encode(words)}}});
        fs::write(&auth_file, auths.to_string()).unwrap();
    };
    login("me:secret");
    let strict = Options { auth_file: Some(auth_file.clone()), ..Options::default() };
    let error = pulled(&ours, &name, &strict).unwrap_err().to_string();
    assert!(error.contains("cannot reach"), "a certificate that nobody trusts was accepted: {error}");
    let trusting = Options { certificates: Some(registry.dir.path().to_owned()), ..strict.clone() };
    pushed(&ours, &image, &name, &trusting);
    assert_eq!(pulled(&Fixture::new(), &name, &trusting).unwrap(), image);
    assert_eq!(pulled(&Fixture::new(), &name, &Options { tls_verify: false, ..strict }).unwrap(), image);
    login("me:wrong");
    let error = pulled(&Fixture::new(), &name, &trusting).unwrap_err();
    assert!(matches!(error, Error::Status { status: 401, .. }), "{error}");
    assert!(error.to_string().contains("harness login"), "{error}");
}

#[test]
fn mirrors_are_asked_first_and_forgiven() {
    let (registry, mirror) = (Registry::start("", ""), Registry::start("", ""));
    let ours = Fixture::new();
    let mut options = Options::default();
    let image = ours.mixed(&[]);
    pushed(&ours, &image, &mirror.name("library/tiny:1"), &options);
    options.mirrors = vec![format!("http://{}", mirror.address).parse().unwrap()];
    let theirs = Fixture::new();
    let taken = pulled(&theirs, "tiny:1", &options).unwrap();
    assert_eq!(taken.id, image.id);
    assert_eq!(taken.references, vec!["tiny:1".parse().unwrap()]);
    // One that is not there.
    pushed(&ours, &image, &registry.name("a:1"), &options);
    options.mirrors = vec![format!("{}=http://127.0.0.1:9", registry.address).parse().unwrap()];
    assert_eq!(pulled(&Fixture::new(), &registry.name("a:1"), &options).unwrap().id, image.id);
}

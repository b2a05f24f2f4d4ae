//! Registries that lie, stop in the middle, or never stop: refused by name, with nothing kept that is not an image.

use std::{
    collections::BTreeMap,
    io::Write,
    net::{Shutdown, TcpStream},
    path::Path,
    sync::Mutex,
};

use harness_image::{Digest, Image};
use harness_transfer::{Error, Options, Platform, pull, tags as tags_of};

use crate::{
    fake_registry::{Asked, FakeRegistry, Published, endless, head, reply},
    support::{Fixture, tar_of},
};

fn image() -> Published {
    let big: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    Published::of(&[&tar_of(&[("small", b"s".to_vec())]), &tar_of(&[("big", big)])])
}

fn pulled_with(registry: &FakeRegistry, fixture: &Fixture, options: &Options) -> Result<Image, Error> {
    let name = registry.name("team/app:1").parse().unwrap();
    pull(&fixture.store, &name, std::slice::from_ref(&name), options, &())
}

fn pulled(registry: &FakeRegistry, fixture: &Fixture) -> Result<Image, Error> {
    pulled_with(registry, fixture, &Options::default())
}

/// Why a pull fails, which leaves no image.
#[track_caller]
fn refused(answer: impl Fn(&Asked, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let (registry, fixture) = (FakeRegistry::start(answer), Fixture::new());
    let error = pulled(&registry, &fixture).expect_err("it was pulled").to_string();
    assert!(fixture.store.list().unwrap().is_empty());
    assert!(fixture.store.verify().unwrap().is_empty());
    assert!(error.contains(&registry.address), "{error}");
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn a_good_one_is_pulled_from() {
    let (good, fixture) = (image(), Fixture::new());
    let registry = FakeRegistry::start(move |asked, stream| good.answer(asked, stream));
    assert_eq!(pulled(&registry, &fixture).unwrap().layers().len(), 2);
    fixture.assert_clean();
}

#[test]
fn documents_that_do_not_end() {
    let error = refused(|asked, stream| match asked.path.as_str() {
        "/v2/" => reply(stream, "200 OK", &[], b""),
        _ => endless(stream),
    });
    assert!(error.contains("a document of more than 4194304 bytes"), "{error}");
}

#[test]
fn blobs_that_do_not_end() {
    for which in 0..3 {
        let good = image();
        let error = refused(move |asked, stream| match good.blob(asked) {
            Some(blob) if blob == good.blobs[which] => endless(stream),
            _ => good.answer(asked, stream),
        });
        assert!(error.contains("bytes came"), "{error}");
    }
}

#[test]
fn what_is_not_what_its_digest_says() {
    for which in 0..3 {
        let good = image();
        let error = refused(move |asked, stream| match good.blob(asked) {
            Some(blob) if blob == good.blobs[which] => reply(stream, "200 OK", &[], &vec![b'x'; blob.len()]),
            _ => good.answer(asked, stream),
        });
        assert!(error.contains(&Digest::of(&image().blobs[which]).to_string()), "{error}");
    }
    let good = image();
    let error = refused(move |asked, stream| {
        if asked.path.contains("/manifests/") {
            let other = Digest::of(b"other").to_string();
            return reply(stream, "200 OK", &[("Docker-Content-Digest", &other)], &good.manifest);
        }
        good.answer(asked, stream)
    });
    assert!(error.contains("what came as manifest 1 has the digest"), "{error}");
}

#[test]
fn bodies_that_stop_go_on_where_they_stopped() {
    let good = image();
    let size = good.blobs[2].len();
    let broken = Mutex::new(3);
    let registry = FakeRegistry::start(move |asked, stream| {
        let Some(blob) = good.blob(asked).filter(|blob| blob.len() == size) else { return good.answer(asked, stream) };
        let mut left = broken.lock().unwrap();
        if *left == 0 {
            return good.answer(asked, stream);
        }
        *left -= 1;
        let rest = &blob[asked.start()..];
        let range = format!("bytes {}-{}/{size}", asked.start(), size - 1);
        let (status, headers) = match asked.start() {
            0 => ("200 OK", vec![]),
            _ => ("206 Partial Content", vec![("Content-Range", range.as_str())]),
        };
        head(stream, status, &headers, rest.len())?;
        stream.write_all(&rest[..rest.len() / 2])?;
        stream.shutdown(Shutdown::Both)
    });
    let fixture = Fixture::new();
    pulled(&registry, &fixture).unwrap();
    fixture.assert_clean();
    let of_blob = format!("/blobs/{}", Digest::of(&image().blobs[2]));
    let starts: Vec<usize> = registry.asked(&of_blob).iter().map(Asked::start).collect();
    assert_eq!(starts.len(), 4, "{starts:?}");
    assert!(starts.is_sorted() && starts[3] > size / 2, "{starts:?}");
}

/// What came is kept for the next pull; one that knows nothing of parts sends all of it.
#[test]
fn bodies_that_always_stop_are_given_up_and_gone_on_with() {
    let good = image();
    let size = good.blobs[2].len();
    let cut = good.clone();
    let registry = FakeRegistry::start(move |asked, stream| match cut.blob(asked) {
        Some(blob) if blob.len() == size => {
            head(stream, "200 OK", &[], size)?;
            stream.write_all(&blob[..size / 3])?;
            stream.shutdown(Shutdown::Both)
        }
        _ => cut.answer(asked, stream),
    });
    let fixture = Fixture::new();
    let error = pulled(&registry, &fixture).unwrap_err().to_string();
    assert!(error.contains(&registry.address), "{error}");
    assert!(fixture.store.list().unwrap().is_empty());
    let registry = FakeRegistry::start(move |asked, stream| good.answer(asked, stream));
    pulled(&registry, &fixture).unwrap();
    fixture.assert_clean();
    let asked = registry.asked(&format!("/blobs/{}", Digest::of(&image().blobs[2])));
    assert_eq!(asked.iter().map(Asked::start).collect::<Vec<_>>(), [size / 3]);
}

#[test]
fn ways_that_go_round_and_round() {
    let error = refused(|asked, stream| match asked.path.as_str() {
        "/v2/" => reply(stream, "200 OK", &[], b""),
        path => reply(stream, "307 Temporary Redirect", &[("Location", path)], b""),
    });
    assert!(error.contains("it redirected more than 5 times"), "{error}");
}

/// A registry on this machine may do without TLS, and must not send us elsewhere without.
#[test]
fn ways_that_leave_this_machine_without_tls() {
    let error = refused(|asked, stream| match asked.path.as_str() {
        "/v2/" => reply(stream, "200 OK", &[], b""),
        _ => reply(stream, "307 Temporary Redirect", &[("Location", "http://192.0.2.1/x")], b""),
    });
    assert!(error.contains("it leads to \"http://192.0.2.1/x\", without TLS"), "{error}");
    let error = refused(|_, stream| {
        let challenge = "Bearer realm=\"http://192.0.2.1/token\",service=\"s\"";
        reply(stream, "401 Unauthorized", &[("WWW-Authenticate", challenge)], b"")
    });
    assert!(error.contains("it gives out tokens at \"http://192.0.2.1/token\""), "{error}");
}

#[test]
fn headers_that_do_not_end() {
    let error = refused(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
        for number in 0_u64.. {
            write!(stream, "X-{number}: {}\r\n", "y".repeat(1000))?;
        }
        Ok(())
    });
    assert!(error.contains("cannot"), "{error}");
}

/// Tokens are asked for with the password, or exchanged for an identity token, and tried again when they are refused.
#[test]
fn tokens_are_got_and_renewed() {
    for (auth, method) in [
        ("{\"auth\": \"bWU6c2VjcmV0\"}", "GET"),
        ("{\"auth\": \"bWU6c2VjcmV0\", \"identitytoken\": \"refresh me\"}", "POST"),
    ] {
        let good = image();
        let own = Mutex::new(String::new());
        let given = Mutex::new(0);
        let registry = FakeRegistry::start(move |asked, stream| {
            *own.lock().unwrap() = asked.header("host").to_owned();
            let realm = format!("http://{}/token", own.lock().unwrap());
            if asked.path.starts_with("/token") {
                let mut given = given.lock().unwrap();
                *given += 1;
                return reply(stream, "200 OK", &[], format!("{{\"token\": \"t{given}\"}}").as_bytes());
            }
            // The first token has run out.
            if asked.header("authorization") != "Bearer t2" {
                let challenge = format!("Bearer realm=\"{realm}\",service=\"s p\",scope=\"repository:team/app:pull\"");
                return reply(stream, "401 Unauthorized", &[("WWW-Authenticate", &challenge)], b"");
            }
            good.answer(asked, stream)
        });
        let fixture = Fixture::new();
        let file = fixture.path("config.json");
        std::fs::write(&file, format!("{{\"auths\": {{\"{}\": {auth}}}}}", registry.address)).unwrap();
        let options = Options { auth_file: Some(file), ..Options::default() };
        pulled_with(&registry, &fixture, &options).unwrap();
        let tokens = registry.asked("/token");
        assert_eq!(tokens.len(), 2);
        for asked in tokens {
            assert_eq!(asked.method, method);
            let body = String::from_utf8(asked.body.clone()).unwrap();
            if method == "POST" {
                assert!(
                    body.contains("grant_type=refresh_token") && body.contains("refresh_token=refresh%20me"),
                    "{body}"
                );
            } else {
                assert_eq!(asked.header("authorization"), "Basic bWU6c2VjcmV0");
                assert!(
                    asked.path.contains("scope=repository%3Ateam%2Fapp%3Apull")
                        || asked.path.contains("scope=repository:team/app:pull"),
                    "{}",
                    asked.path
                );
            }
        }
        // The password goes to who gives out tokens, and nowhere else.
        assert!(registry.asked("/v2/").iter().all(|asked| !asked.header("authorization").starts_with("Basic")));
    }
}

/// No answer makes the store keep a file outside of it, whatever it calls things.
#[test]
fn names_that_lead_elsewhere() {
    let good = image();
    let config = good.blobs[0].clone();
    let outside = format!("/tmp/harness-hostile-{}", std::process::id());
    let digest = format!("sha256:../../../..{outside}");
    let error = refused(move |asked, stream| {
        if asked.path.contains("/manifests/") {
            let mut manifest: serde_json::Value = serde_json::from_slice(&good.manifest).unwrap();
            manifest["layers"][0]["digest"] = digest.clone().into();
            return reply(stream, "200 OK", &[], manifest.to_string().as_bytes());
        }
        good.answer(asked, stream)
    });
    assert!(error.contains("which is no SHA-256 digest"), "{error}");
    assert!(!Path::new(&outside).exists());
    let error = refused(move |asked, stream| {
        if asked.path.contains("/manifests/") {
            let layers: Vec<BTreeMap<&str, serde_json::Value>> = (0..100_000)
                .map(|_| BTreeMap::from([("digest", Digest::of(b"x").to_string().into()), ("size", 1.into())]))
                .collect();
            let config = crate::support::descriptor("application/vnd.oci.image.config.v1+json", &config);
            let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string();
            return reply(stream, "200 OK", &[], manifest.as_bytes());
        }
        reply(stream, "200 OK", &[], b"{}")
    });
    assert!(error.contains("more than"), "{error}");
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A list that leads to itself has no digest; lists in lists in lists have, and end somewhere all the same.
#[test]
fn lists_that_lead_to_further_lists() {
    let good = image();
    let mut lists = vec![good.manifest.clone()];
    for depth in 0..10 {
        let media_type = if depth == 0 { "application/vnd.oci.image.manifest.v1+json" } else { INDEX };
        let mut inner = crate::support::descriptor(media_type, lists.last().unwrap());
        inner["platform"] = serde_json::json!({"os": "linux", "architecture": Platform::host().architecture});
        lists
            .push(serde_json::json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]}).to_string().into());
    }
    let serve = |lists: Vec<Vec<u8>>| {
        let good = good.clone();
        move |asked: &Asked, stream: &mut TcpStream| {
            let Some((_, wanted)) = asked.path.split_once("/manifests/") else { return good.answer(asked, stream) };
            let list =
                lists.iter().find(|list| Digest::of(list).to_string() == wanted).unwrap_or(&lists[lists.len() - 1]);
            reply(stream, "200 OK", &[], list)
        }
    };
    let registry = FakeRegistry::start(serve(lists[..4].to_vec()));
    pulled(&registry, &Fixture::new()).unwrap();
    let error = refused(serve(lists));
    assert!(error.contains("lead to further lists"), "{error}");
}

/// Pages of tags that lead on and on, to nowhere good, or to other repositories.
#[test]
fn lists_of_tags_that_lie() {
    let page = |tags: &str, next: &'static str| {
        let body = format!("{{\"name\": \"team/app\", \"tags\": {tags}}}");
        move |asked: &Asked, stream: &mut TcpStream| match asked.path.as_str() {
            "/v2/" => reply(stream, "200 OK", &[], b""),
            _ if next.is_empty() => reply(stream, "200 OK", &[], body.as_bytes()),
            _ => reply(stream, "200 OK", &[("Link", &format!("<{next}>; rel=\"next\""))], body.as_bytes()),
        }
    };
    let many = format!("[\"a\"{}]", ",\"a\"".repeat(60_000));
    for (tags, next, why) in [
        (many.as_str(), "/v2/team/app/tags/list?last=a", "more than 100000 tags"),
        (&format!("[{}0]", "0,".repeat(100_000)), "", "too large"),
        ("[\"a\"]", "http://192.0.2.1/tags", "without TLS"),
        ("[\"a\"]", "tags?last=a", "as a place to go on"),
        ("[\"a\", \"../../../x\"]", "", "\"../../../x\", which is no tag"),
        ("[\"1@sha256:0000000000000000000000000000000000000000000000000000000000000000\"]", "", "which is no tag"),
        ("[\"\\u001b[2J\"]", "", "\"\\u{1b}[2J\", which is no tag"),
        ("{}", "", "malformed"),
    ] {
        let registry = FakeRegistry::start(page(tags, next));
        let repository = registry.name("team/app").parse().unwrap();
        let error = tags_of(&repository, &Options::default()).expect_err(why).to_string();
        assert!(error.contains(why) && error.contains(&registry.address), "{error}");
    }
    // A page with nothing on it is the last one, whatever it says.
    for tags in ["null", "[]"] {
        let registry = FakeRegistry::start(page(tags, "/v2/team/app/tags/list?last=a"));
        assert_eq!(tags_of(&registry.name("team/app").parse().unwrap(), &Options::default()).unwrap(), []);
    }
}

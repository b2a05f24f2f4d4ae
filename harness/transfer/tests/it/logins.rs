//! Logging in where tokens are given out: what is asked for, and what is kept.

use harness_transfer::{Credentials, Error, Kept, Options, known_credentials, login};

use crate::{
    fake_registry::{FakeRegistry, reply},
    support::Fixture,
};

/// One that gives out tokens for `me` and `secret`, as this answer, and lets in who has the token `t`.
fn registry(answer: &'static str) -> FakeRegistry {
    FakeRegistry::start(move |asked, stream| {
        if asked.path.starts_with("/token") {
            let body = String::from_utf8_lossy(&asked.body);
            let knows =
                asked.header("authorization") == "Basic bWU6c2VjcmV0" || body.contains("refresh_token=for%20good&");
            let denied = br#"{"errors": [{"code": "UNAUTHORIZED", "message": "who\u001b[2J?"}]}"#;
            return if knows {
                reply(stream, "200 OK", &[], answer.as_bytes())
            } else {
                reply(stream, "401 Unauthorized", &[], denied)
            };
        }
        if asked.header("authorization") == "Bearer t" {
            return reply(stream, "200 OK", &[], b"{}");
        }
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"s\"", asked.header("host"));
        reply(stream, "401 Unauthorized", &[("WWW-Authenticate", &challenge)], b"")
    })
}

fn password(word: &str) -> Credentials {
    Credentials::Password("me".into(), word.into())
}

#[test]
fn an_identity_token_is_kept_in_place_of_the_password() {
    let identity = || Credentials::Identity("for good".into());
    for (answer, kept) in [
        (r#"{"token": "t"}"#, password("secret")),
        (r#"{"access_token": "t", "refresh_token": "for good"}"#, identity()),
    ] {
        let (registry, fixture) = (registry(answer), Fixture::new());
        let file = fixture.path("config.json");
        let options = Options { auth_file: Some(file.clone()), ..Options::default() };
        assert_eq!(login(&registry.address, password("secret"), &options).unwrap(), Kept::File(file));
        assert_eq!(known_credentials(&registry.address, &options).unwrap(), Some(kept.clone()));
        let asked = &registry.asked("/token")[0].path;
        assert!(asked.contains("offline_token=true") && !asked.contains("scope"), "{asked}");
        // What was kept opens the door, too.
        login(&registry.address, kept, &options).unwrap();
    }
}

#[test]
fn who_is_not_let_in_is_told_and_nothing_is_kept() {
    let fixture = Fixture::new();
    let options = Options { auth_file: Some(fixture.path("config.json")), ..Options::default() };
    let denied = registry(r#"{"token": "t"}"#);
    let error = login(&denied.address, password("wrong"), &options).unwrap_err();
    assert!(matches!(error, Error::Login { .. }), "{error}");
    let said = error.to_string();
    assert!(
        said.contains("does not accept") && said.contains("who\\u{1b}[2J?") && !said.contains("harness login"),
        "{said}"
    );
    // A token that opens nothing, one that is none, and something that is no registry.
    let error = login(&registry(r#"{"token": "other"}"#).address, password("secret"), &options).unwrap_err();
    assert!(matches!(error, Error::Login { .. }), "{error}");
    let error = login(&registry("{}").address, password("secret"), &options).unwrap_err().to_string();
    assert!(error.contains("it gave no token"), "{error}");
    let other = FakeRegistry::start(|_, stream| reply(stream, "404 Not Found", &[], b"<html>"));
    let error = login(&other.address, password("secret"), &options).unwrap_err().to_string();
    assert!(error.contains("logging in failed with status 404"), "{error}");
    assert!(!fixture.path("config.json").exists());
}

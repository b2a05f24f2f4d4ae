//! Tokens: one is asked for at the place that the challenge names (distribution's token authentication, OAuth 2).

use serde::Deserialize;

use super::{
    client::basic,
    credentials::Credentials,
    url::{Url, escape},
};

/// As whom this program asks for tokens.
const CLIENT: &str = "harness";

/// How to ask for a token.
pub struct Request {
    pub method: &'static str,
    pub url: Url,
    pub authorization: Option<String>,
    pub form: Option<String>,
}

/// With a name and password, or none, tokens are asked for by GET; with an identity token by POST.
pub fn request(realm: &Url, service: Option<&str>, scopes: &[&str], credentials: Option<&Credentials>) -> Request {
    if let Some(Credentials::Identity(token)) = credentials {
        let form = format!(
            "grant_type=refresh_token&client_id={CLIENT}&service={}&scope={}&refresh_token={}",
            escape(service.unwrap_or_default()),
            escape(&scopes.join(" ")),
            escape(token)
        );
        return Request { method: "POST", url: realm.clone(), authorization: None, form: Some(form) };
    }
    let url = service.map_or_else(|| realm.clone(), |service| realm.with("service", service));
    let url = scopes.iter().fold(url, |url, scope| url.with("scope", scope));
    let authorization = match credentials {
        Some(Credentials::Password(name, password)) => Some(basic(name, password)),
        _ => None,
    };
    Request { method: "GET", url, authorization, form: None }
}

impl Request {
    /// Also asks for a token that takes the password's place from now on.
    pub fn for_good(self) -> Self {
        match self.form {
            Some(form) => Self { form: Some(form + "&access_type=offline"), ..self },
            None => Self { url: self.url.with("client_id", CLIENT).with("offline_token", "true"), ..self },
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
}

/// The token in an answer, and one that takes the password's place if there is one. The first goes into a header, where not
/// every character may stand (RFC 6750, 2.1).
pub fn read(answer: &[u8]) -> Result<(String, Option<String>), String> {
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|error| format!("its answer to who may have a token is malformed: {error}"))?;
    let given = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let token = given.ok_or("it gave no token")?;
    if token.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
        Ok((token, answer.refresh_token.filter(|token| !token.is_empty())))
    } else {
        Err("its token is malformed".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_asked_for_by_what_one_has() {
        let realm = Url::parse("https://auth.org/token?a=b").unwrap();
        let scopes = ["repository:a/b:pull", "repository:c:pull"];
        let request_as = |credentials| request(&realm, Some("reg"), &scopes, credentials);
        let anonymous = request_as(None);
        assert!(anonymous.authorization.is_none() && anonymous.form.is_none());
        assert_eq!(
            anonymous.url.to_string(),
            "https://auth.org/token?a=b&service=reg&scope=repository%3Aa%2Fb%3Apull&scope=repository%3Ac%3Apull"
        );
        let me = Credentials::Password("me".into(), "secret".into());
        let token = Credentials::Identity("t&t".into());
        let password = request_as(Some(&me));
        assert_eq!(password.authorization.as_deref(), Some("Basic bWU6c2VjcmV0"));
        let identity = request_as(Some(&token));
        assert_eq!((identity.method, &identity.url), ("POST", &realm));
        assert!(identity.form.as_ref().unwrap().ends_with("refresh_token=t%26t"));
        assert!(identity.for_good().form.unwrap().ends_with("&access_type=offline"));
        assert!(request_as(Some(&me)).for_good().url.to_string().ends_with("&client_id=harness&offline_token=true"));
    }

    #[test]
    fn tokens_are_text() {
        let plain = |token: &str| Ok((token.to_owned(), None));
        assert_eq!(read(br#"{"token": "a.b-c="}"#), plain("a.b-c="));
        assert_eq!(read(br#"{"access_token": "x", "expires_in": 300, "refresh_token": ""}"#), plain("x"));
        assert_eq!(read(br#"{"token": "x", "refresh_token": "y z"}"#), Ok(("x".to_owned(), Some("y z".to_owned()))));
        for bad in [&br#"{}"#[..], br#"{"token": ""}"#, br#"{"token": "a\r\nHost: b"}"#, b"[]", b""] {
            assert!(read(bad).is_err());
        }
    }
}

//! Requests to one repository of a registry, with what it takes to be let in.

use std::{
    collections::HashMap,
    io::Read,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use ureq::{
    Agent, Body, SendBody,
    http::{Request, Response, StatusCode, header},
};

use super::{
    Options,
    challenge::Challenge,
    credentials::{self, Credentials},
    tls, token,
    url::{Url, is_loopback},
};
use crate::{Error, Result, document::shown};

/// To connect, and between two pieces of an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Until an answer starts: a registry may hash a large blob first.
const THINKING: Duration = Duration::from_secs(300);

/// A body that takes longer is asked for again from where it stopped; one that hardly moves is given up so.
const BODY: Duration = Duration::from_secs(600);

/// Bytes of an answer that is an error, a token, or nothing of interest.
pub const SMALL: u64 = 1 << 20;

const REDIRECTS: usize = 5;

/// One repository of a registry.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    /// `https://HOST` or `http://HOST`.
    base: Url,
    /// For messages, and for credentials.
    host: String,
    repository: String,
    /// Whether TLS may be done without, also elsewhere than on this machine.
    plain_anywhere: bool,
    challenge: Mutex<Option<Challenge>>,
    credentials: Option<Credentials>,
    tokens: Mutex<HashMap<String, String>>,
    /// A token that takes the password's place, where the registry gave one.
    identity: Mutex<Option<String>>,
    /// What is to be done there; `None` for who only logs in.
    scope: Option<String>,
    retries: u32,
}

/// A request, to be made once or several times.
#[derive(Debug, Default)]
pub struct Ask<'a> {
    pub method: &'static str,
    pub headers: Vec<(&'static str, String)>,
    /// Beyond what the client's own work takes.
    pub scope: Option<&'a str>,
}

impl Ask<'_> {
    pub fn new(method: &'static str) -> Self {
        Self { method, ..Self::default() }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A request with all it takes but what is sent along.
struct Prepared<'a> {
    ask: &'a Ask<'a>,
    url: &'a Url,
    authorization: Option<&'a str>,
}

/// What is sent along.
enum Payload<'a> {
    Bytes(&'a [u8]),
    Stream(&'a mut dyn Read),
}

impl Client {
    /// Finds out how the registry of a repository talks. `plain` is for one that was said to do without TLS.
    pub fn connect(host: &str, repository: &str, push: bool, plain: bool, options: &Options) -> Result<Self> {
        let file = options.auth_file.clone().or_else(credentials::default_file);
        let credentials = file.map_or(Ok(None), |file| credentials::find(&file, host))?;
        let client = Self::reach(host, plain, options, credentials)?;
        let scope = format!("repository:{repository}:{}", if push { "pull,push" } else { "pull" });
        Ok(Self { repository: repository.to_owned(), scope: Some(scope), ..client })
    }

    /// As [`connect`](Self::connect), for no repository.
    pub fn reach(host: &str, plain: bool, options: &Options, credentials: Option<Credentials>) -> Result<Self> {
        // docker.io is a name; the registry behind it is elsewhere.
        let authority = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let plain_allowed = is_loopback(authority) || !options.tls_verify;
        let unreachable = |why: &str| Error::Unreachable { host: host.to_owned(), why: why.to_owned() };
        if plain && !plain_allowed {
            return Err(unreachable(
                "only registries on this machine may do without TLS; allow it with --tls-verify=false",
            ));
        }
        let mut client = Self {
            agent: agent(options, authority)?,
            base: Url { plain, authority: authority.to_owned(), path: String::new() },
            host: host.to_owned(),
            repository: String::new(),
            plain_anywhere: !options.tls_verify,
            challenge: Mutex::new(None),
            credentials,
            tokens: Mutex::new(HashMap::new()),
            identity: Mutex::new(None),
            scope: None,
            retries: 4,
        };
        let first = client.ping();
        match first {
            Err(Error::Unreachable { why, .. }) if plain_allowed && !plain => {
                tracing::debug!(host, why, "no TLS there; trying without");
                client.base.plain = true;
                // What listens for TLS calls other bytes a bad request: the first answer tells what is wrong.
                if client.ping()? == StatusCode::BAD_REQUEST {
                    return Err(unreachable(&why));
                }
            }
            answer => drop(answer?),
        }
        Ok(client)
    }

    /// The name of the repository, or of the registry, in messages.
    pub fn origin(&self) -> String {
        if self.repository.is_empty() { self.host.clone() } else { format!("{}/{}", self.host, self.repository) }
    }

    /// The token that the registry gave to log in with from now on, if any.
    pub fn identity(&self) -> Option<String> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often to try again.
    pub const fn retries(&self) -> u32 {
        self.retries
    }

    /// A URL of this repository.
    pub fn url(&self, rest: &str) -> Url {
        Url { path: format!("/v2/{}/{rest}", self.repository), ..self.base.clone() }
    }

    /// Where a registry says that it is one, to those whom it lets in.
    pub fn front(&self) -> Url {
        Url { path: "/v2/".into(), ..self.base.clone() }
    }

    fn ping(&self) -> Result<StatusCode> {
        let url = self.front();
        let answer = self.exchange(Prepared { ask: &Ask::new("GET"), url: &url, authorization: None }, None)?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = challenge(&answer);
        }
        // Some proxies have no such page, and answer all else.
        Ok(answer.status())
    }

    /// Makes a request, follows redirects, and proves who one is when asked to. Any status is an answer.
    pub fn send(&self, ask: &Ask<'_>, url: &Url) -> Result<Response<Body>> {
        self.send_with(ask, url, |request| self.exchange(request, None))
    }

    /// As [`send`](Self::send), with these bytes.
    pub fn send_bytes(&self, ask: &Ask<'_>, url: &Url, bytes: &[u8]) -> Result<Response<Body>> {
        self.send_with(ask, url, |request| self.exchange(request, Some(Payload::Bytes(bytes))))
    }

    /// As [`send`](Self::send), with a stream, which is made anew for each attempt.
    pub fn send_stream<R: Read>(
        &self,
        ask: &Ask<'_>,
        url: &Url,
        open: impl Fn() -> Result<R>,
    ) -> Result<Response<Body>> {
        self.send_with(ask, url, |request| self.exchange(request, Some(Payload::Stream(&mut open()?))))
    }

    fn send_with(
        &self,
        ask: &Ask<'_>,
        url: &Url,
        exchange: impl Fn(Prepared<'_>) -> Result<Response<Body>>,
    ) -> Result<Response<Body>> {
        let mut url = url.clone();
        let mut renewed = false;
        let mut redirects = 0;
        loop {
            let authorization = if url.authority == self.base.authority && url.plain == self.base.plain {
                self.authorization(ask.scope)?
            } else {
                None
            };
            let answer = exchange(Prepared { ask, url: &url, authorization: authorization.as_deref() })?;
            let status = answer.status().as_u16();
            if status == 401 && !renewed {
                renewed = true;
                let asked = challenge(&answer);
                if asked.is_some() && (authorization.is_none() || matches!(asked, Some(Challenge::Bearer { .. }))) {
                    self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                    continue;
                }
            }
            let follow = matches!(status, 301 | 302 | 303 | 307 | 308) && matches!(ask.method, "GET" | "HEAD");
            if !follow {
                return Ok(answer);
            }
            redirects += 1;
            if redirects > REDIRECTS {
                return Err(Error::refused(self.origin(), format!("it redirected more than {REDIRECTS} times")));
            }
            url = self.location(&url, &answer)?;
        }
    }

    /// Where an answer's `Location` leads; not to where TLS is done without.
    pub fn location(&self, from: &Url, answer: &Response<Body>) -> Result<Url> {
        self.follow(from, &header_of(answer, "location").unwrap_or_default())
    }

    /// Where a link of an answer leads; not to where TLS is done without.
    pub fn follow(&self, from: &Url, text: &str) -> Result<Url> {
        let url = from
            .join(text)
            .ok_or_else(|| Error::refused(self.origin(), format!("it named {} as a place to go on", shown(text))))?;
        if !self.may_ask(&url) {
            return Err(Error::refused(self.origin(), format!("it leads to {}, without TLS", shown(&url.to_string()))));
        }
        Ok(url)
    }

    /// A registry on this machine may do without TLS; those that it leads to elsewhere may not.
    fn may_ask(&self, url: &Url) -> bool {
        !url.plain || self.plain_anywhere || is_loopback(&url.authority)
    }

    fn exchange(&self, prepared: Prepared<'_>, payload: Option<Payload<'_>>) -> Result<Response<Body>> {
        let Prepared { ask, url, authorization } = prepared;
        let mut request = Request::builder().method(ask.method).uri(url.to_string());
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let bad = |error: ureq::http::Error| self.unreachable(&error.to_string());
        let answer = match payload {
            None => self.agent.run(request.body(()).map_err(bad)?),
            Some(Payload::Bytes(bytes)) => self.agent.run(request.body(bytes).map_err(bad)?),
            Some(Payload::Stream(stream)) => self.agent.run(request.body(SendBody::from_reader(stream)).map_err(bad)?),
        };
        answer.map_err(|error| self.unreachable(&error.to_string()))
    }

    fn unreachable(&self, why: &str) -> Error {
        Error::Unreachable { host: self.host.clone(), why: shown(why).trim_matches('"').to_owned() }
    }

    /// The header that lets a request in; `None` where none is asked for.
    fn authorization(&self, scope: Option<&str>) -> Result<Option<String>> {
        let challenge = self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(challenge) = challenge else { return Ok(None) };
        let Challenge::Bearer { realm, service, .. } = &challenge else {
            let Some(Credentials::Password(name, password)) = &self.credentials else { return Ok(None) };
            return Ok(Some(basic(name, password)));
        };
        let scopes: Vec<&str> = self.scope.as_deref().into_iter().chain(scope).collect();
        let key = scopes.join(" ");
        if let Some(token) = self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Some(format!("Bearer {token}")));
        }
        let url = Url::parse(realm)
            .filter(|url| self.may_ask(url))
            .ok_or_else(|| Error::refused(self.origin(), format!("it gives out tokens at {}", shown(realm))))?;
        let mut request = token::request(&url, service.as_deref(), &scopes, self.credentials.as_ref());
        if self.scope.is_none() {
            request = request.for_good();
        }
        let mut ask = Ask::new(request.method);
        if request.form.is_some() {
            ask = ask.header("content-type", "application/x-www-form-urlencoded");
        }
        let form = request.form.as_ref().map(|form| Payload::Bytes(form.as_bytes()));
        let authorization = request.authorization.as_deref();
        let answer = self.exchange(Prepared { ask: &ask, url: &request.url, authorization }, form)?;
        if answer.status().as_u16() != 200 {
            return Err(self.failed("asking for a token", answer));
        }
        let (token, identity) = token::read(&self.small(answer)?).map_err(|why| Error::refused(self.origin(), why))?;
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
        let header = format!("Bearer {token}");
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(key, token);
        Ok(Some(header))
    }

    /// A body that cannot be large.
    pub fn small(&self, answer: Response<Body>) -> Result<Vec<u8>> {
        self.body(answer, SMALL)
    }

    /// A body of at most so many bytes.
    pub fn body(&self, answer: Response<Body>, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut reader = answer.into_body().into_reader().take(most + 1);
        reader.read_to_end(&mut bytes).map_err(|source| Error::Read { origin: self.origin(), source })?;
        if bytes.len() as u64 > most {
            return Err(Error::refused(self.origin(), format!("it sent a document of more than {most} bytes")));
        }
        Ok(bytes)
    }

    /// The error for an answer that is none of those that were hoped for.
    pub fn failed(&self, what: &str, answer: Response<Body>) -> Error {
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        // What it says is for people; when it cannot be read the status says enough.
        let _ = answer.into_body().into_reader().take(64 << 10).read_to_end(&mut bytes);
        Error::Status { origin: self.origin(), what: what.to_owned(), status, said: said(&bytes) }
    }
}

fn agent(options: &Options, authority: &str) -> Result<Agent> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(THINKING))
        .timeout_per_read(Some(PATIENCE))
        .timeout_per_write(Some(PATIENCE))
        .timeout_recv_body(Some(BODY))
        .user_agent(concat!("harness/", env!("CARGO_PKG_VERSION")))
        // The bytes as they are stored there: their digest is known.
        .accept_encoding("identity")
        .tls_config(tls::config(options, authority)?);
    if is_loopback(authority) {
        config = config.proxy(None);
    }
    Ok(Agent::new_with_config(config.build()))
}

/// A header as text.
pub fn header_of(answer: &Response<Body>, name: &str) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn challenge(answer: &Response<Body>) -> Option<Challenge> {
    let headers = answer.headers().get_all(header::WWW_AUTHENTICATE);
    let all: Vec<_> = headers.iter().filter_map(|value| Challenge::parse(value.to_str().ok()?)).collect();
    all.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. })).or(all.first()).cloned()
}

/// Basic authentication (RFC 7617).
pub fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct OneError {
    code: String,
    message: String,
}

/// What the body of an error says (distribution-spec, "Error Codes").
fn said(bytes: &[u8]) -> String {
    let Ok(Said { errors }) = serde_json::from_slice(bytes) else { return String::new() };
    errors.first().map_or_else(String::new, |error| shown(&format!("{}: {}", error.code, error.message)))
}

//! Whom to trust, and how to show who one is.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::CertifiedKey,
};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::Options;
use crate::{Error, Result};

/// Where docker keeps certificates of single registries, each in a directory that is called as the registry.
const DOCKER_CERTIFICATES: &str = "/etc/docker/certs.d";

/// The system's certificates, docker's for this registry, and those that were asked for. A system without any is given
/// Mozilla's, which are compiled in.
pub fn config(options: &Options, host: &str) -> Result<TlsConfig> {
    let docker = Path::new(DOCKER_CERTIFICATES).join(host);
    let asked_for = options.certificates.as_deref();
    let mut found = Certificates::default();
    for dir in asked_for.into_iter().chain(docker.is_dir().then_some(docker.as_path())) {
        found.read(dir)?;
    }
    let config = TlsConfig::builder().client_cert(found.client);
    if !options.tls_verify {
        return Ok(config.disable_verification(true).build());
    }
    let system = rustls_native_certs::load_native_certs();
    let mut trusted: Vec<_> = system.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if trusted.is_empty() && found.trusted.is_empty() {
        return Ok(config.root_certs(RootCerts::WebPki).build());
    }
    trusted.extend(found.trusted);
    Ok(config.root_certs(RootCerts::Specific(Arc::new(trusted))).build())
}

/// What directories of certificates hold, in docker's form: `*.crt` to trust, and `NAME.cert` with `NAME.key` to show to
/// registries that ask for it (docker's documentation, "Verify repository client with certificates").
#[derive(Debug, Default)]
struct Certificates {
    trusted: Vec<Certificate<'static>>,
    client: Option<ClientCert>,
}

impl Certificates {
    fn read(&mut self, dir: &Path) -> Result<()> {
        let entries = fs::read_dir(dir).map_err(Error::io("read", dir))?;
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>().map_err(Error::io("read", dir))?;
        paths.sort();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => self.trusted.extend(certificates(&path)?),
                Some("cert") => self.client(&path)?,
                Some("key") if !path.with_extension("cert").exists() => {
                    let why = format!("its certificate {} is not there", path.with_extension("cert").display());
                    return Err(Error::refused(path.display().to_string(), why));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// One is shown at most: the first by name.
    fn client(&mut self, path: &Path) -> Result<()> {
        let key = path.with_extension("key");
        if !key.exists() {
            let why = format!(
                "its key {} is not there; certificates to trust are called *.crt, those to show *.cert",
                key.display()
            );
            return Err(Error::refused(path.display().to_string(), why));
        }
        let (chain, key) = (certificates(path)?, private_key(&key)?);
        if self.client.is_some() {
            tracing::warn!(path = %path.display(), "another certificate is shown to registries; this one is not used");
            return Ok(());
        }
        check_pair(&chain, &key).map_err(|why| Error::refused(path.display().to_string(), why))?;
        self.client = Some(ClientCert::new_with_certs(&chain, key));
        Ok(())
    }
}

/// Refuses what cannot be used, or does not belong together: ureq takes for granted that it can.
fn check_pair(chain: &[Certificate<'_>], key: &PrivateKey<'_>) -> Result<(), String> {
    let chain = chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
    let key = PrivateKeyDer::try_from(key.der().to_vec()).map_err(|why| format!("its key cannot be read: {why}"))?;
    let pair = CertifiedKey::from_der(chain, key, &ring::default_provider());
    pair.map(drop).map_err(|error| format!("it cannot be used with its key: {error}"))
}

/// All certificates of a file.
fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let certificate = |item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    };
    let found: Vec<_> = items(path)?.into_iter().filter_map(certificate).collect();
    if found.is_empty() {
        return Err(Error::refused(path.display().to_string(), "it has no certificate in PEM's form"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKey<'static>> {
    let key = |item| match item {
        PemItem::PrivateKey(key) => Some(key),
        _ => None,
    };
    let why = "it has no private key in PEM's form, or one under a password";
    items(path)?.into_iter().find_map(key).ok_or_else(|| Error::refused(path.display().to_string(), why))
}

fn items(path: &Path) -> Result<Vec<PemItem<'static>>> {
    let text = fs::read(path).map_err(Error::io("read", path))?;
    let items: Result<Vec<_>, _> = parse_pem(&text).collect();
    items.map_err(|error| Error::refused(path.display().to_string(), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate and its key, as openssl writes them.
    fn pair() -> [String; 2] {
        let dir = tempfile::tempdir().unwrap();
        let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout key -out cert";
        let made = std::process::Command::new("openssl").args(request.split(' ')).current_dir(dir.path()).output();
        assert!(made.expect("install openssl").status.success());
        ["cert", "key"].map(|name| fs::read_to_string(dir.path().join(name)).unwrap())
    }

    /// What is read of these files, as how many to trust and how many to show.
    fn read(files: &[(&str, &str)]) -> Result<(usize, usize), String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut found = Certificates::default();
        found.read(dir.path()).map_err(|error| error.to_string())?;
        Ok((found.trusted.len(), found.client.map_or(0, |client| client.certs().len())))
    }

    #[test]
    fn dockers_directories_are_read() {
        let ([cert, key], [other, other_key]) = (pair(), pair());
        let both = format!("{cert}{other}");
        let shown = [("client.cert", cert.as_str()), ("client.key", key.as_str())];
        assert_eq!(read(&[]), Ok((0, 0)));
        assert_eq!(read(&[("ca.crt", &both), ("b.crt", &cert), ("ca.pem", "x"), ("README", "x")]), Ok((3, 0)));
        assert_eq!(read(&shown), Ok((0, 1)));
        assert_eq!(read(&[("a.cert", &both), ("a.key", &key), ("ca.crt", &other)]), Ok((1, 2)));
        let second = [("d.cert", other.as_str()), ("d.key", &other_key)];
        assert_eq!(read(&[shown, second].concat()), Ok((0, 1)));
        for (files, why) in [
            (&shown[..1], "client.key is not there"),
            (&shown[1..], "client.cert is not there"),
            (&[("ca.crt", key.as_str())], "no certificate"),
            (&[shown[0], ("client.key", cert.as_str())], "no private key"),
            (&[shown[0], ("client.key", other_key.as_str())], "cannot be used with its key"),
        ] {
            let error = read(files).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}

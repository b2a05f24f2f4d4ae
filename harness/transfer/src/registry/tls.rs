//! Whom to trust.

use std::{fs, path::Path, sync::Arc};

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::Options;
use crate::{Error, Result};

/// Where docker keeps certificates of single registries.
const DOCKER_CERTIFICATES: &str = "/etc/docker/certs.d";

/// The system's certificates, docker's for this registry, and those that were asked for. A system without any is given
/// Mozilla's, which are compiled in.
pub fn config(options: &Options, host: &str) -> Result<TlsConfig> {
    if !options.tls_verify {
        return Ok(TlsConfig::builder().disable_verification(true).build());
    }
    let system = rustls_native_certs::load_native_certs();
    let mut trusted: Vec<_> = system.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let bare = trusted.is_empty();
    let docker = Path::new(DOCKER_CERTIFICATES).join(host);
    let mut more = if docker.is_dir() { read(&docker)? } else { Vec::new() };
    if let Some(dir) = &options.certificates {
        more.extend(read(dir)?);
    }
    if bare && more.is_empty() {
        return Ok(TlsConfig::builder().root_certs(RootCerts::WebPki).build());
    }
    trusted.extend(more);
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(trusted))).build())
}

/// All certificates of all `*.crt` in a directory.
fn read(dir: &Path) -> Result<Vec<Certificate<'static>>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        if path.extension().is_none_or(|extension| extension != "crt") {
            continue;
        }
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        for item in parse_pem(&text) {
            match item {
                Ok(PemItem::Certificate(certificate)) => found.push(certificate),
                Ok(_) => {}
                Err(error) => return Err(Error::refused(path.display().to_string(), error.to_string())),
            }
        }
    }
    Ok(found)
}

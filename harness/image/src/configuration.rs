//! An image's configuration: OCI's, and what docker's has beyond it.

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// A whole image configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration {
    /// What OCI's image specification knows.
    pub oci: ImageConfiguration,
    /// What only docker knows.
    pub docker: DockerConfig,
}

impl From<ImageConfiguration> for Configuration {
    fn from(oci: ImageConfiguration) -> Self {
        Self { oci, docker: DockerConfig::default() }
    }
}

/// Fields of `config` that docker has beyond OCI's, which reserves their names (image-spec config.md, "Properties").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DockerConfig {
    /// How to find out whether a container works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthCheck>,
    /// Instructions that a build on this image carries out first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// The shell of shell forms; docker's own default where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// A health check; durations in nanoseconds, zero for docker's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthCheck {
    /// `NONE`, or `CMD` with words, or `CMD-SHELL` with a line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: u64,
    /// The longest that one may take.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: u64,
    /// How long failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: u64,
    /// Between two checks until then.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: u64,
    /// How many failures in a row make it unhealthy.
    #[serde(skip_serializing_if = "is_none")]
    pub retries: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_none(number: &u32) -> bool {
    *number == 0
}

impl Configuration {
    /// As it is stored: one document with both.
    pub(crate) fn to_value(&self) -> Result<Value> {
        let invalid = |error: serde_json::Error| Error::InvalidImage { why: error.to_string() };
        let mut document = serde_json::to_value(&self.oci).map_err(invalid)?;
        if self.docker == DockerConfig::default() {
            return Ok(document);
        }
        let Value::Object(more) = serde_json::to_value(&self.docker).map_err(invalid)? else { return Ok(document) };
        if let Value::Object(fields) = &mut document
            && let Value::Object(config) =
                fields.entry("config").or_insert_with(|| Value::Object(serde_json::Map::new()))
        {
            config.extend(more);
        }
        Ok(document)
    }

    /// Reads what [`to_value`](Self::to_value) or docker wrote.
    pub(crate) fn from_value(document: Value) -> serde_json::Result<Self> {
        let docker = match document.get("config") {
            Some(config @ Value::Object(_)) => DockerConfig::deserialize(config)?,
            _ => DockerConfig::default(),
        };
        Ok(Self { oci: serde_json::from_value(document)?, docker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_wrote_is_kept() {
        let text = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{
            "Env":["A=b"],"Shell":["/bin/bash","-c"],"OnBuild":null,
            "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":30000000000,"Retries":3}}}"#;
        let read = Configuration::from_value(serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(read.docker.shell.as_deref().unwrap(), ["/bin/bash", "-c"]);
        let check = read.docker.healthcheck.clone().unwrap();
        assert_eq!((check.interval, check.retries, check.timeout), (30_000_000_000, 3, 0));
        assert_eq!(Configuration::from_value(read.to_value().unwrap()).unwrap(), read);
        assert_eq!(read.to_value().unwrap()["config"]["Healthcheck"].get("Timeout"), None);
    }
}

//! Manifests and lists of them, as they come from outside. No I/O: bytes in, what they say out.

use harness_image::{Blob, Digest, media};
use oci_spec::image::MediaType;
use serde::Deserialize;
use storage_driver::Bytes;

use crate::{limits, platform::Platform};

/// A descriptor (image-spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub media_type: MediaType,
    /// Its digest and length.
    pub blob: Blob,
    /// What it runs on, in a list of manifests.
    pub platform: Option<Platform>,
    /// Its names in `index.json`: in full, and as OCI has it.
    pub names: Names,
}

/// What the annotations of a descriptor say about names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Names {
    /// containerd's and docker's: always in full.
    #[serde(rename = "io.containerd.image.name")]
    pub full: Option<String>,
    /// OCI's: a name, or a tag alone.
    #[serde(rename = "org.opencontainers.image.ref.name")]
    pub reference: Option<String>,
}

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// The manifest of one image.
    Manifest(Manifest),
    /// A list of manifests, by platform or by name.
    Index(Vec<Descriptor>),
}

/// The manifest of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// OCI's or docker's word for it.
    pub media_type: MediaType,
    /// The configuration.
    pub config: Blob,
    /// Bottom first.
    pub layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u32>,
    media_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
    annotations: Option<Names>,
}

impl Document {
    /// Reads a document; `declared` is the media type under which it came.
    ///
    /// A document that could be read as both a manifest and a list is refused, and so is one whose media type is not
    /// the one under which it came: two readers must not see two images (CVE-2021-41190).
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(bytes: &[u8], declared: Option<&str>) -> Result<Self, String> {
        if bytes.len() as u64 > limits::DOCUMENT {
            return Err(format!("its manifest is larger than {}", Bytes(limits::DOCUMENT)));
        }
        limits::values(bytes).map_err(|why| format!("its manifest is too large: {why}"))?;
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| format!("its manifest is malformed: {error}"))?;
        match raw.schema_version {
            Some(2) => {}
            Some(1) => return Err("its manifest has schema 1, which registries gave up; push it there again".into()),
            _ => return Err("its manifest does not say that it has schema 2".into()),
        }
        let known = |text: &&str| {
            let media_type = MediaType::from(*text);
            media::is_manifest(&media_type) || media::is_index(&media_type)
        };
        let declared = declared.filter(known);
        if let (Some(declared), Some(own)) = (declared, raw.media_type.as_deref())
            && declared != own
        {
            return Err(format!("its manifest came as {declared} and calls itself {}", shown(own)));
        }
        let media_type = raw.media_type.as_deref().or(declared).map(MediaType::from);
        match (raw.config, raw.layers, raw.manifests) {
            (Some(config), Some(layers), None) => {
                let media_type = media_type.unwrap_or(MediaType::ImageManifest);
                manifest(media_type, config, layers).map(Self::Manifest)
            }
            (None, None, Some(manifests)) => {
                if !media_type.as_ref().is_none_or(media::is_index) {
                    return Err("its list of manifests calls itself something else".into());
                }
                if manifests.len() > limits::MANIFESTS {
                    return Err(format!("its list has {} manifests, more than {}", manifests.len(), limits::MANIFESTS));
                }
                manifests.into_iter().map(descriptor).collect::<Result<_, _>>().map(Self::Index)
            }
            _ => Err("its manifest is neither that of an image nor a list of manifests".into()),
        }
    }
}

fn manifest(media_type: MediaType, config: RawDescriptor, layers: Vec<RawDescriptor>) -> Result<Manifest, String> {
    if !media::is_manifest(&media_type) {
        return Err(format!("its manifest calls itself {}", shown(media_type.as_ref())));
    }
    let config = descriptor(config)?;
    if !is_configuration(config.media_type.as_ref()) {
        return Err(format!(
            "it is no image of a container: its configuration is of type {}",
            shown(config.media_type.as_ref())
        ));
    }
    if config.blob.size.get() > limits::CONFIGURATION {
        return Err(format!("its configuration is larger than {}", Bytes(limits::CONFIGURATION)));
    }
    if layers.len() > limits::LAYERS {
        return Err(format!("it has {} layers, more than {}", layers.len(), limits::LAYERS));
    }
    let layers = layers.into_iter().map(layer).collect::<Result<_, _>>()?;
    Ok(Manifest { media_type, config: config.blob, layers })
}

fn is_configuration(media_type: &str) -> bool {
    matches!(media_type, "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json")
}

fn layer(raw: RawDescriptor) -> Result<Descriptor, String> {
    let layer = descriptor(raw)?;
    let size = layer.blob.size;
    if size.get() > limits::LAYER {
        return Err(format!("layer {} is said to have {size}, more than {}", layer.blob.digest, Bytes(limits::LAYER)));
    }
    match media::layer(&layer.media_type) {
        MediaType::ImageLayer
        | MediaType::ImageLayerGzip
        | MediaType::ImageLayerZstd
        | MediaType::ImageLayerNonDistributable
        | MediaType::ImageLayerNonDistributableGzip
        | MediaType::ImageLayerNonDistributableZstd => Ok(layer),
        other => {
            Err(format!("layer {} is of type {}, which is not known here", layer.blob.digest, shown(other.as_ref())))
        }
    }
}

fn descriptor(raw: RawDescriptor) -> Result<Descriptor, String> {
    let digest: Digest =
        raw.digest.parse().map_err(|_| format!("it names {}, which is no SHA-256 digest", shown(&raw.digest)))?;
    Ok(Descriptor {
        media_type: MediaType::from(raw.media_type.as_str()),
        blob: Blob { digest, size: Bytes(raw.size) },
        platform: raw.platform,
        names: raw.annotations.unwrap_or_default(),
    })
}

/// Text from outside as it may stand in a message: cut, quoted, and without what terminals act on.
pub fn shown(text: &str) -> String {
    const MOST: usize = 100;
    let cut: String = text.chars().take(MOST).collect();
    format!("{cut:?}{}", if cut.len() < text.len() { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn part(media_type: &str, size: u64) -> Value {
        json!({"mediaType": media_type, "digest": Digest::of(media_type.as_bytes()), "size": size})
    }

    fn image(layers: usize) -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": OCI,
            "config": part("application/vnd.oci.image.config.v1+json", 10),
            "layers": vec![part("application/vnd.oci.image.layer.v1.tar+gzip", 20); layers],
        })
    }

    fn parse(value: &Value, declared: Option<&str>) -> Result<Document, String> {
        Document::parse(&serde_json::to_vec(value).unwrap(), declared)
    }

    fn with(mut value: Value, pointer: &str, new: Value) -> Value {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        value.pointer_mut(parent).unwrap()[key] = new;
        value
    }

    #[test]
    fn manifests_and_lists_are_read() {
        let Document::Manifest(manifest) = parse(&image(3), Some(OCI)).unwrap() else { panic!("a list") };
        assert_eq!((manifest.layers.len(), manifest.config.size), (3, Bytes(10)));
        let list = json!({"schemaVersion": 2, "manifests": [part(OCI, 5)]});
        let Document::Index(entries) = parse(&list, Some(INDEX)).unwrap() else { panic!("a manifest") };
        assert_eq!(entries.len(), 1);
        // A registry that calls everything JSON says nothing.
        assert!(parse(&image(0), Some("application/json")).is_ok());
        assert!(parse(&with(image(1), "/mediaType", json!(media::DOCKER_MANIFEST)), None).is_ok());
    }

    #[test]
    fn what_no_image_says_is_refused_by_name() {
        let cases = [
            (json!([]), "malformed"),
            (json!({}), "schema 2"),
            (with(image(1), "/schemaVersion", json!(1)), "schema 1"),
            (with(image(1), "/manifests", json!([])), "neither"),
            (with(image(1), "/mediaType", json!(INDEX)), "calls itself"),
            (with(image(1), "/mediaType", json!("\u{1b}[2J")), "\\u{1b}"),
            (with(image(1), "/config/mediaType", json!("application/vnd.cncf.helm.config.v1+json")), "no image of a"),
            (with(image(1), "/config/size", json!(1_u64 << 40)), "configuration is larger"),
            (with(image(1), "/config/size", json!(-1)), "malformed"),
            (with(image(1), "/config/digest", json!("sha256:../../../etc")), "no SHA-256 digest"),
            (with(image(1), "/layers/0/size", json!(1_u64 << 60)), "more than"),
            (with(image(1), "/layers/0/mediaType", json!("a/tar+encrypted")), "not known here"),
            (with(image(1), "/layers/0/digest", json!("md5:00")), "no SHA-256 digest"),
            (image(5000), "5000 layers"),
            (json!({"schemaVersion": 2, "mediaType": OCI, "manifests": []}), "calls itself something else"),
        ];
        for (value, why) in cases {
            let error = parse(&value, None).unwrap_err();
            assert!(error.contains(why), "{error:?} does not say {why:?}");
        }
        assert!(parse(&image(1), Some(INDEX)).unwrap_err().contains("came as"));
        let deep = [b"{\"config\":".repeat(100_000).as_slice(), b"1"].concat();
        assert!(Document::parse(&deep, None).is_err());
        assert!(Document::parse(&vec![b' '; 5 << 20], None).unwrap_err().contains("larger"));
    }
}

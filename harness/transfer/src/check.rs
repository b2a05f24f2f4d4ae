//! Documents of images, looked at without fetching anything.

use crate::{document::Document, error::Result, receive::configured};

/// Whether these bytes can be a manifest or a list of them, as which an image comes or `index.json` names several;
/// `declared` is the media type under which they came.
///
/// # Errors
/// What is wrong with them, for people.
pub fn check_manifest(bytes: &[u8], declared: Option<&str>) -> Result<(), String> {
    Document::parse(bytes, declared).map(drop)
}

/// Whether these bytes can be the configuration of an image with this manifest; of any image where that is a list.
///
/// # Errors
/// What is wrong with either, for people.
pub fn check_configuration(bytes: &[u8], manifest: &[u8]) -> Result<(), String> {
    let checked = match Document::parse(manifest, None)? {
        Document::Manifest(manifest) => {
            configured("an image", bytes).and_then(|configured| configured.layers_of("an image", &manifest)).map(drop)
        }
        Document::Index(_) => configured("an image", bytes).map(drop),
    };
    checked.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        let list = br#"{"schemaVersion": 2, "manifests": []}"#;
        assert_eq!(check_manifest(list, None), Ok(()));
        assert!(check_manifest(b"{}", None).unwrap_err().contains("schema 2"));
        assert_eq!(check_configuration(br#"{"os": "linux", "rootfs": {"diff_ids": []}}"#, list), Ok(()));
        let error = check_configuration(br#"{"rootfs": {"diff_ids": ["x"]}}"#, list).unwrap_err();
        assert!(error.contains("is no diff id"), "{error}");
        assert!(check_configuration(b"[", list).unwrap_err().contains("malformed"));
    }
}

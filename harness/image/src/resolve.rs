use std::collections::BTreeMap;

use storage_layer::Digest;

use crate::{Error, Image, Reference, Result, Store, glance, image::short, index::Index, near};

/// What a name or an id led to.
pub struct Located {
    pub manifest: Digest,
    /// The name, when that is how it was found.
    pub by_name: Option<Reference>,
}

impl Store {
    /// Finds an image by name (`tiny`, `tiny:3`, `tiny@sha256:…`) or by id, in full or cut to what is unique.
    ///
    /// As in docker a name goes before an id that looks the same.
    ///
    /// # Errors
    /// [`Error::NotFound`] with names that look like it; [`Error::Ambiguous`]; [`Error::InvalidName`];
    /// [`Error::Corrupt`] and [`Error::MissingBlob`] for a damaged image.
    pub fn resolve(&self, name: &str) -> Result<Image> {
        if let Some(image) = self.glance(name) {
            return Ok(image);
        }
        let mut index = self.index()?;
        loop {
            let located = self.locate(&index, name)?;
            match Image::load(self.blobs(), located.manifest, index.names(&located.manifest)) {
                // Another process may have removed it between the two reads.
                Err(error @ Error::MissingBlob { .. }) => {
                    let now = self.index()?;
                    if now == index {
                        return Err(error);
                    }
                    index = now;
                }
                answer => return answer,
            }
        }
    }

    /// The image with exactly this name, if that is easily seen.
    fn glance(&self, name: &str) -> Option<Image> {
        let wanted = Reference::parse(name).ok().filter(|wanted| wanted.digest().is_none())?;
        let seen = glance::find(self.root(), &wanted)?;
        Image::load(self.blobs(), seen.manifest, seen.names).ok()
    }

    /// As [`resolve`](Self::resolve), without reading more of the image than it takes to find it: by name it can
    /// be found even when it is damaged.
    pub(crate) fn locate(&self, index: &Index, name: &str) -> Result<Located> {
        let reference = Reference::parse(name);
        if let Ok(reference) = &reference
            && let Some(located) = by_name(index, reference)
        {
            return Ok(located);
        }
        if let Some(manifest) = self.by_id(index, name)? {
            return Ok(Located { manifest, by_name: None });
        }
        match reference {
            Ok(reference) => Err(not_found(index, &reference)),
            Err(_) if is_id(name) => Err(Error::NotFound { name: name.to_owned(), near: Vec::new() }),
            Err(error) => Err(error),
        }
    }

    fn by_id(&self, index: &Index, id: &str) -> Result<Option<Digest>> {
        if !is_id(id) {
            return Ok(None);
        }
        let prefix = id.strip_prefix("sha256:").unwrap_or(id);
        let mut found = BTreeMap::new();
        for manifest in index.manifests() {
            if manifest.hex() == prefix {
                return Ok(Some(manifest));
            }
            match Image::load(self.blobs(), manifest, Vec::new()) {
                Ok(image) if image.id.hex().starts_with(prefix) => {
                    found.entry(image.id).or_insert(manifest);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%manifest, %error, "an image was not looked at"),
            }
        }
        if found.len() > 1 {
            let matches = found.keys().map(short).collect();
            return Err(Error::Ambiguous { prefix: id.to_owned(), matches });
        }
        Ok(found.into_values().next())
    }
}

fn by_name(index: &Index, wanted: &Reference) -> Option<Located> {
    let Some(digest) = wanted.digest() else {
        let manifest = index.find(wanted)?;
        return Some(Located { manifest, by_name: Some(wanted.clone()) });
    };
    // The tag beside a digest is for people: the digest decides.
    let repository = wanted.repository();
    let entry = index.entries().iter().find(|entry| {
        // The content is the same under any name; one that was pulled by its digest has none.
        entry.digest == *digest && entry.reference.as_ref().is_none_or(|name| name.repository() == repository)
    })?;
    // A digest is no name that could be taken away: it says which image, as an id does.
    Some(Located { manifest: entry.digest, by_name: None })
}

fn is_id(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    (1..=64).contains(&hex.len()) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn not_found(index: &Index, wanted: &Reference) -> Error {
    let names: Vec<String> =
        index.entries().iter().filter_map(|e| e.reference.as_ref()).map(Reference::to_string).collect();
    let name = wanted.to_string();
    let near = near::nearest(&name, names.iter().map(String::as_str));
    Error::NotFound { name, near }
}

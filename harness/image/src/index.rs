use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, ImageIndex, ImageIndexBuilder, MediaType};
use storage_layer::Digest;
use storage_root::Durability;

use crate::{Error, Reference, Result, document, durable};

/// The name in full, beside OCI's own annotation, which holds it as people write it; containerd and docker
/// write this one too.
pub const CANONICAL_NAME: &str = "io.containerd.image.name";

const FILE: &str = "index.json";
const SCHEMA_VERSION: u32 = 2;

/// `index.json` grows by some hundred bytes a name; beyond this it is not ours.
const MAX_SIZE: u64 = 64 << 20;

/// `index.json`: the images of the store and their names (OCI image-spec, image-layout.md).
///
/// It names one descriptor for each name of an image, and one without a name for an image that has none. An
/// image is in the store as long as a descriptor leads to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    path: PathBuf,
    document: ImageIndex,
    entries: Vec<Entry>,
}

/// One descriptor of the index.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub reference: Option<Reference>,
    pub digest: Digest,
    pub media_type: MediaType,
    descriptor: Descriptor,
}

impl Index {
    /// Writes an empty index where there is none; the caller holds the index lock.
    pub fn create(root: &Path, tmp: &Path, durability: Durability) -> Result<()> {
        let path = root.join(FILE);
        if path.exists() {
            return Ok(());
        }
        let document = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(Vec::new())
            .build()
            .map_err(|error| Error::InvalidImage { why: error.to_string() })?;
        Self { path, document, entries: Vec::new() }.write(tmp, durability)
    }

    /// Reads the index. No lock is needed: it is replaced as a whole.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        let bytes = read_bytes(root)?;
        let mut document: ImageIndex = serde_json::from_slice(&bytes).map_err(|error| Error::Corrupt {
            path: path.clone(),
            why: format!("it is no image index: {error}; restore it from a backup, or delete it and oci-layout"),
        })?;
        let entries = document.manifests().iter().cloned().map(Entry::of).collect::<Option<Vec<_>>>();
        let Some(entries) = entries else {
            let why = "one of its digests is not SHA-256, the only algorithm known here; remove that descriptor";
            return Err(Error::Corrupt { path, why: why.into() });
        };
        document.set_manifests(Vec::new());
        Ok(Self { path, document, entries })
    }

    /// Replaces the file; the caller holds the index lock.
    pub fn write(&self, tmp: &Path, durability: Durability) -> Result<()> {
        let mut document = self.document.clone();
        document.set_manifests(self.entries.iter().map(|entry| entry.descriptor.clone()).collect());
        durable::replace(&self.path, &document::to_json(&document)?, tmp, durability)
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Every manifest once, in the order of the names.
    pub fn manifests(&self) -> Vec<Digest> {
        let mut seen = BTreeSet::new();
        self.entries.iter().map(|entry| entry.digest).filter(|digest| seen.insert(*digest)).collect()
    }

    /// The manifest with this name.
    pub fn find(&self, reference: &Reference) -> Option<Digest> {
        self.entries.iter().find(|entry| entry.reference.as_ref() == Some(reference)).map(|entry| entry.digest)
    }

    /// The names of a manifest, sorted.
    pub fn names(&self, digest: &Digest) -> Vec<Reference> {
        self.entries.iter().filter(|entry| entry.digest == *digest).filter_map(|e| e.reference.clone()).collect()
    }

    /// Adds a manifest without a name, unless it is there already.
    pub fn add(&mut self, descriptor: Descriptor) {
        if let Some(mut entry) = Entry::of(descriptor)
            && !self.entries.iter().any(|other| other.digest == entry.digest)
        {
            entry.set_reference(None);
            self.entries.push(entry);
            self.sort();
        }
    }

    /// Gives a manifest of the index a name, taking it from the one that had it, which stays without.
    pub fn tag(&mut self, digest: &Digest, reference: &Reference) {
        let Some(mut named) = self.entries.iter().find(|entry| entry.digest == *digest).cloned() else { return };
        if self.find(reference) == Some(*digest) {
            return;
        }
        if let Some(former) = self.entries.iter_mut().find(|entry| entry.reference.as_ref() == Some(reference)) {
            former.set_reference(None);
        }
        named.set_reference(Some(reference));
        self.entries.push(named);
        self.sort();
    }

    /// Takes one name away, and says which manifest had it. Without another name it is no longer in the index.
    pub fn untag(&mut self, reference: &Reference) -> Option<Digest> {
        let at = self.entries.iter().position(|entry| entry.reference.as_ref() == Some(reference))?;
        Some(self.entries.remove(at).digest)
    }

    /// Takes a manifest and all of its names away.
    pub fn remove(&mut self, digest: &Digest) {
        self.entries.retain(|entry| entry.digest != *digest);
    }

    pub fn contains(&self, digest: &Digest) -> bool {
        self.entries.iter().any(|entry| entry.digest == *digest)
    }

    /// By name, those without a name last; one without a name goes when its manifest has a name elsewhere.
    fn sort(&mut self) {
        let named: BTreeSet<Digest> = self.entries.iter().filter(|e| e.reference.is_some()).map(|e| e.digest).collect();
        self.entries.retain(|entry| entry.reference.is_some() || !named.contains(&entry.digest));
        let key = |entry: &Entry| (entry.reference.is_none(), entry.reference.clone(), entry.digest);
        self.entries.sort_by_key(key);
        self.entries.dedup_by_key(|entry| (entry.reference.clone(), entry.digest));
    }
}

/// The index as it is on disk.
pub fn read_bytes(root: &Path) -> Result<Vec<u8>> {
    let path = root.join(FILE);
    let mut bytes = Vec::new();
    match fs::File::open(&path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let why = "it is missing; restore it from a backup, or delete the oci-layout file beside it to start \
                       again without images";
            return Err(Error::Corrupt { path, why: why.into() });
        }
        Err(error) => return Err(Error::io("read", path)(error)),
    }
    Ok(bytes)
}

impl Entry {
    fn of(descriptor: Descriptor) -> Option<Self> {
        let digest = document::described(&descriptor)?.digest;
        let reference = name_of(&descriptor);
        Some(Self { reference, digest, media_type: descriptor.media_type().clone(), descriptor })
    }

    fn set_reference(&mut self, reference: Option<&Reference>) {
        let mut annotations = self.descriptor.annotations().clone().unwrap_or_default();
        annotations.remove(CANONICAL_NAME);
        annotations.remove(ANNOTATION_REF_NAME);
        if let Some(reference) = reference {
            annotations.insert(ANNOTATION_REF_NAME.to_owned(), reference.to_string());
            annotations.insert(CANONICAL_NAME.to_owned(), reference.canonical());
        }
        self.reference = reference.cloned();
        self.descriptor.set_annotations((!annotations.is_empty()).then_some(annotations));
    }
}

/// Other tools write OCI's annotation only, which is a full name or just a tag; a tag alone is taken as a name.
fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    let annotations: &HashMap<String, String> = descriptor.annotations().as_ref()?;
    let name = annotations.get(CANONICAL_NAME).or_else(|| annotations.get(ANNOTATION_REF_NAME))?;
    Reference::parse(name).ok().filter(|reference| reference.digest().is_none())
}

//! Removing images, and the blobs that nothing needs any more.

use std::collections::BTreeSet;

use oci_spec::image::{ImageIndex, MediaType};
use storage_driver::Bytes;
use storage_layer::Digest;

use crate::{
    Blob, ChainId, Error, Image, Lease, Reference, Result, Store, document, image::short, index::Index, media,
    resolve::Located,
};

/// How deep an index may lead to further indexes.
const MAX_NESTING: u32 = 8;

/// What removing an image did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// Names that are gone.
    pub untagged: Vec<Reference>,
    /// The image's id, then the chain ids of the layers that no other image has, topmost first: what `docker
    /// rmi` prints. Empty when the image has other names.
    pub deleted: Vec<Digest>,
    /// Space that came back.
    pub freed: Bytes,
    /// Blobs were left for a later [`Store::gc`], because somebody is using the store.
    pub deferred: bool,
}

/// What a collection did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that are gone.
    pub blobs: Vec<Blob>,
    /// Files of dead writers, and parts of blobs, that are gone.
    pub temporaries: usize,
    /// Nothing was done, because somebody is using the store.
    pub deferred: bool,
}

impl Collected {
    /// Space that came back.
    #[must_use]
    pub fn freed(&self) -> Bytes {
        self.blobs.iter().map(|blob| blob.size).sum()
    }
}

impl Store {
    /// Takes a name from an image, and removes the image with the last one; by id or digest, removes the image.
    ///
    /// A layer's blob stays as long as another image or the build cache has it. A damaged image can be removed
    /// too.
    ///
    /// # Errors
    /// Those of [`resolve`](Self::resolve); [`Error::SeveralNames`] for an id or digest, unless `force` is given.
    pub fn remove(&self, name: &str, force: bool) -> Result<Removal> {
        let mut removal = Removal::default();
        let gone = self.change_index(|index| {
            let located = self.locate(index, name)?;
            let gone = self.take_out(index, &located, force, &mut removal)?;
            Ok(gone.map(|manifest| (manifest, index.clone())))
        })?;
        if let Some((manifest, index)) = gone {
            self.delete_image(manifest, &index, &mut removal)?;
        }
        Ok(removal)
    }

    /// Removes all blobs that no image, no cache entry and none of `extra_roots` needs, and what dead writers
    /// left.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and [`Error::MissingBlob`] for a damaged image: what it needs cannot be told, so
    /// nothing is removed.
    pub fn gc(&self, extra_roots: &[Digest]) -> Result<Collected> {
        let Some(_held) = Lease::exclusive(self.root())? else {
            return Ok(Collected { deferred: true, ..Collected::default() });
        };
        let mut needed = self.needed(&self.index()?)?;
        needed.extend(extra_roots);
        let mut collected =
            Collected { temporaries: self.blobs().clean()? + self.blobs().clean_partials()?, ..Collected::default() };
        for blob in self.blobs().list()? {
            if !needed.contains(&blob.digest) {
                self.blobs().delete(&blob.digest)?;
                collected.blobs.push(blob);
            }
        }
        Ok(collected)
    }

    /// Reads everything and returns what is wrong, each naming a file and a remedy.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for the index, without which nothing can be checked.
    pub fn verify(&self) -> Result<Vec<Error>> {
        let _held = self.lease()?;
        let index = self.index()?;
        let mut wrong = Vec::new();
        let mut seen = BTreeSet::new();
        for entry in index.entries() {
            let needed = match self.reach(entry.digest, &entry.media_type, MAX_NESTING) {
                Ok(needed) => needed,
                Err(error) => {
                    wrong.push(error);
                    continue;
                }
            };
            for digest in needed {
                if seen.insert(digest)
                    && let Err(error) = self.check(&digest)
                {
                    wrong.push(error);
                }
            }
        }
        Ok(wrong)
    }

    fn check(&self, digest: &Digest) -> Result<()> {
        let path = self.blobs().path(digest);
        let mut blob = self.blobs().open_verified(digest)?;
        match std::io::copy(&mut blob, &mut std::io::sink()) {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.downcast::<Error>() {
                Ok(corrupt) => corrupt,
                Err(error) => Error::io("read", path)(error),
            }),
        }
    }

    /// Deletes what only the image that `index` no longer has needed.
    fn delete_image(&self, manifest: Digest, index: &Index, removal: &mut Removal) -> Result<()> {
        let image = match Image::load(self.blobs(), manifest, Vec::new()) {
            Ok(image) => image,
            Err(error) => {
                tracing::warn!(%manifest, %error, "a damaged image was removed; its other blobs are left for gc");
                removal.deleted.push(manifest);
                return Ok(());
            }
        };
        removal.deleted.push(image.id);
        removal.deleted.extend(self.chains_of_no_other(&image, index));
        let Some(_held) = Lease::exclusive(self.root())? else {
            removal.deferred = true;
            return Ok(());
        };
        // Only now is it certain that nobody is about to name one of the blobs: read the index again.
        let needed = self.needed(&self.index()?)?;
        let own = image.layers().iter().map(|layer| layer.digest).chain([image.id, manifest]);
        for digest in own.collect::<BTreeSet<_>>().difference(&needed) {
            removal.freed += self.blobs().delete(digest)?;
        }
        Ok(())
    }

    fn chains_of_no_other(&self, image: &Image, index: &Index) -> Vec<Digest> {
        let others =
            index.manifests().into_iter().filter_map(|other| Image::load(self.blobs(), other, Vec::new()).ok());
        let kept: BTreeSet<ChainId> = others.flat_map(|other| other.chains()).collect();
        image.chains().iter().rev().filter(|chain| !kept.contains(chain)).map(|chain| *chain.digest()).collect()
    }

    /// Every blob that an image or the build cache needs.
    fn needed(&self, index: &Index) -> Result<BTreeSet<Digest>> {
        let mut needed = self.cache().blobs()?;
        for entry in index.entries() {
            needed.extend(self.reach(entry.digest, &entry.media_type, MAX_NESTING)?);
        }
        Ok(needed)
    }

    /// A manifest and all it leads to. Indexes within the index, which other tools write, are followed.
    fn reach(&self, digest: Digest, media_type: &MediaType, nesting: u32) -> Result<BTreeSet<Digest>> {
        let mut reached = BTreeSet::from([digest]);
        if media::is_index(media_type) && nesting > 0 {
            let inner: ImageIndex = document::read(self.blobs(), &digest, "image index")?;
            for descriptor in inner.manifests() {
                if let Some(blob) = document::described(descriptor) {
                    reached.extend(self.reach(blob.digest, descriptor.media_type(), nesting - 1)?);
                }
            }
        } else if media::is_manifest(media_type) {
            let image = Image::load(self.blobs(), digest, Vec::new())?;
            reached.insert(image.id);
            reached.extend(image.layers().iter().map(|layer| layer.digest));
        }
        Ok(reached)
    }

    /// Takes a name, or the whole image, out of the index; the manifest that is gone with it.
    fn take_out(
        &self,
        index: &mut Index,
        located: &Located,
        force: bool,
        removal: &mut Removal,
    ) -> Result<Option<Digest>> {
        let manifest = located.manifest;
        if let Some(name) = &located.by_name {
            index.untag(name);
            removal.untagged.push(name.clone());
            return Ok((!index.contains(&manifest)).then_some(manifest));
        }
        let names = index.names(&manifest);
        if names.len() > 1 && !force {
            let id = Image::load(self.blobs(), manifest, Vec::new()).map_or(manifest, |image| image.id);
            return Err(Error::SeveralNames {
                id: short(&id),
                names: names.iter().map(Reference::to_string).collect(),
            });
        }
        index.remove(&manifest);
        removal.untagged = names;
        Ok(Some(manifest))
    }
}

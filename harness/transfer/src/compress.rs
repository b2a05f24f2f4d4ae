//! An image with its layers compressed otherwise. The store keeps what builds make as plain tars.

use std::io::{self, Write};

use harness_image::{Blob, Image, LayerBlob, Store};
use storage_driver::Bytes;
use storage_layer::{Compression, decompress};

use crate::{Error, Result, layer::media_type};

/// Puts an image into another store, each layer compressed as wanted. Its configuration, and so its id, stays the same; the
/// same layers give the same bytes.
///
/// # Errors
/// What either store says; [`Error::Read`] for a layer that cannot be unpacked.
pub fn compress(from: &Store, image: &Image, wanted: Compression, to: &Store) -> Result<Image> {
    let _held = (from.lease()?, to.lease()?);
    let layers = image.layers().iter().map(|layer| one(from, layer, wanted, to)).collect::<Result<Vec<_>>>()?;
    let config = to.blobs().put(&from.blobs().read(&image.id)?)?;
    Ok(to.adopt_config(&config, &layers, &[])?)
}

fn one(from: &Store, layer: &LayerBlob, wanted: Compression, to: &Store) -> Result<LayerBlob> {
    let read = |source| Error::Read { origin: format!("layer {}", layer.digest), source };
    let mut writer = to.blobs().create()?;
    let blob = from.blobs().open_blob(&layer.digest)?;
    let mut plain = decompress(blob).map_err(read)?;
    if plain.compression() == wanted {
        // As it is; what it unpacks to was checked when it came.
        io::copy(&mut from.blobs().open_blob(&layer.digest)?, &mut writer).map_err(read)?;
    } else {
        pack(&mut plain, wanted, &mut writer).map_err(read)?;
    }
    let Blob { digest, size } = writer.commit()?;
    Ok(LayerBlob { media_type: media_type(wanted), digest, size: Bytes(size.get()), diff_id: layer.diff_id })
}

fn pack(plain: &mut impl io::Read, wanted: Compression, out: &mut impl Write) -> io::Result<()> {
    match wanted {
        Compression::None => _ = io::copy(plain, out)?,
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            io::copy(plain, &mut encoder)?;
            encoder.finish()?;
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            io::copy(plain, &mut encoder)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

//! `index.json` of an OCI image layout: which images it has, and what they are called.

use harness_image::Reference;

use crate::{
    Error, Loaded, Platform, Result,
    document::{Descriptor, Document, shown},
    receive::{Receiver, read_manifest},
    source::Source,
};

/// Takes over all images of a layout, or the wanted one with the names given.
pub fn receive_all(
    receiver: &Receiver<'_>,
    source: &dyn Source,
    index: &[u8],
    wanted: Option<(Option<&str>, &[Reference])>,
) -> Result<Vec<Loaded>> {
    let entries = parse(&source.origin(), index)?;
    let one = |entry: &Descriptor, names: &[Reference]| -> Result<Loaded> {
        let bytes = read_manifest(source, &entry.blob)?;
        let image = receiver.receive(source, bytes, Some(entry.media_type.as_ref()), names)?;
        Ok(Loaded { image, names: names.to_vec() })
    };
    if let Some((name, names)) = wanted {
        return Ok(vec![one(choose(&entries, name, &source.origin(), &receiver.wanted())?, names)?]);
    }
    let mut loaded: Vec<Loaded> = Vec::new();
    for entry in of_platform(&entries, &receiver.wanted()) {
        let names = names_of(entry, &source.origin())?;
        let next = one(entry, &names)?;
        // One image under several names has one entry for each.
        match loaded.iter_mut().find(|before| before.image.manifest_digest == next.image.manifest_digest) {
            Some(before) => {
                before.names.extend(next.names);
                before.image = next.image;
            }
            None => loaded.push(next),
        }
    }
    Ok(loaded)
}

/// The entries of an `index.json`.
pub fn parse(origin: &str, index: &[u8]) -> Result<Vec<Descriptor>> {
    match Document::parse(index, None).map_err(|why| Error::refused(origin, why))? {
        Document::Index(entries) if entries.is_empty() => Err(Error::refused(origin, "it holds no image")),
        Document::Index(entries) => Ok(entries),
        Document::Manifest(_) => Err(Error::refused(origin, "its index.json is no list of manifests")),
    }
}

/// The names that an entry gives its image; a tag alone is none.
fn names_of(entry: &Descriptor, origin: &str) -> Result<Vec<Reference>> {
    let whole = |name: &&String| name.contains([':', '/']);
    let name = entry.names.full.as_ref().or_else(|| entry.names.reference.as_ref().filter(whole));
    let Some(name) = name else { return Ok(Vec::new()) };
    let reference: Reference =
        name.parse().map_err(|_| Error::refused(origin, format!("it calls an image {}", shown(name))))?;
    Ok(if reference.digest().is_none() { vec![reference] } else { Vec::new() })
}

/// Entries of other platforms are passed over, unless there is nothing else.
fn of_platform<'a>(entries: &'a [Descriptor], wanted: &Platform) -> Vec<&'a Descriptor> {
    let suits = |entry: &&Descriptor| entry.platform.as_ref().is_none_or(|platform| wanted.accepts(platform).is_some());
    let some: Vec<_> = entries.iter().filter(suits).collect();
    if some.is_empty() { entries.iter().collect() } else { some }
}

/// The entry with this name, tag or digest; without one, the only image there is.
fn choose<'a>(
    entries: &'a [Descriptor],
    name: Option<&str>,
    origin: &str,
    platform: &Platform,
) -> Result<&'a Descriptor> {
    let Some(name) = name else {
        let here = of_platform(entries, platform);
        let one = here.first().filter(|first| here.iter().all(|entry| entry.blob == first.blob));
        return one.copied().ok_or_else(|| {
            let why = format!("it has several images; say which one: {}", there(entries).join(", "));
            Error::refused(origin, why)
        });
    };
    let reference = name.parse::<Reference>().ok();
    let same = |text: &String| text == name || (reference.is_some() && text.parse().ok() == reference);
    let called = |entry: &&&Descriptor| {
        [&entry.names.reference, &entry.names.full].into_iter().flatten().any(same)
            || entry.blob.digest.to_string() == name
    };
    let mut called = of_platform(entries, platform).into_iter().filter(|entry| called(&entry));
    called.next().ok_or_else(|| Error::NotFound {
        origin: origin.to_owned(),
        name: name.to_owned(),
        there: there(entries),
    })
}

fn there(entries: &[Descriptor]) -> Vec<String> {
    let names = entries.iter().filter_map(|entry| entry.names.reference.as_ref().or(entry.names.full.as_ref()));
    names.take(20).map(|name| shown(name)).collect()
}

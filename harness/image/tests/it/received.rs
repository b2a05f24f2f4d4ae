//! Blobs and images that come from elsewhere.

use std::io::Write;

use harness_image::{Blob, Configuration, Digest, Error, Image, media};
use oci_spec::image::MediaType;
use storage_driver::Bytes;

use crate::support::{Fixture, config};

fn expected(content: &[u8]) -> Blob {
    Blob { digest: Digest::of(content), size: Bytes(content.len() as u64) }
}

#[test]
fn a_partial_blob_goes_on_where_it_stopped() {
    let fixture = Fixture::new();
    let blob = expected(b"hello, world");
    let mut first = fixture.store.blobs().resume(blob).unwrap().unwrap();
    first.write_all(b"hello, ").unwrap();
    drop(first);
    let mut second = fixture.store.blobs().resume(blob).unwrap().unwrap();
    assert_eq!(second.written(), Bytes(7));
    second.write_all(b"world").unwrap();
    second.commit().unwrap();
    assert!(fixture.store.blobs().contains(&blob.digest));
    assert!(fixture.store.blobs().resume(blob).unwrap().is_none());
    assert_eq!(std::fs::read_dir(fixture.dir.path().join("partial")).unwrap().count(), 0);
}

#[test]
fn wrong_content_is_refused_and_gone() {
    let fixture = Fixture::new();
    let blob = expected(b"hello");
    let mut wrong = fixture.store.blobs().resume(blob).unwrap().unwrap();
    wrong.write_all(b"jello").unwrap();
    assert!(matches!(wrong.commit(), Err(Error::WrongContent { .. })));
    let mut short = fixture.store.blobs().resume(blob).unwrap().unwrap();
    assert_eq!(short.written(), Bytes(0));
    short.write_all(b"hel").unwrap();
    assert!(short.commit().is_err());
    let mut long = fixture.store.blobs().resume(blob).unwrap().unwrap();
    assert!(long.write_all(b"hello!").unwrap_err().to_string().contains("more than its 5 bytes"));
    let long = long.restart().unwrap();
    assert_eq!(long.written(), Bytes(0));
    drop(long);
    assert_eq!(fixture.store.gc(&[]).unwrap().temporaries, 1);
    let mut named = fixture.store.blobs().create().unwrap();
    named.write_all(b"other").unwrap();
    assert!(named.commit_as(&blob.digest).is_err());
    assert!(fixture.store.blobs().list().unwrap().is_empty());
}

#[test]
fn two_writers_of_one_blob_take_turns() {
    let fixture = Fixture::new();
    let content = vec![7; 1 << 20];
    let blob = expected(&content);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let Some(mut partial) = fixture.store.blobs().resume(blob).unwrap() else { return };
                let at = usize::try_from(partial.written().get()).unwrap();
                partial.write_all(&content[at..]).unwrap();
                partial.commit().unwrap();
            });
        }
    });
    assert_eq!(fixture.store.blobs().read(&blob.digest).unwrap(), content);
}

/// The same image in docker's words: other media types, and so other digests.
fn docker_manifest(image: &Image) -> Vec<u8> {
    let layer = &image.layers()[0];
    serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::DOCKER_MANIFEST,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": image.id,
                   "size": image.manifest.config().size()},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar", "digest": layer.digest,
                    "size": layer.size}],
    }))
    .unwrap()
}

#[test]
fn an_image_of_dockers_is_kept_byte_for_byte() {
    let fixture = Fixture::new();
    let own = fixture.image(&["a"], &[]);
    let manifest = docker_manifest(&own);
    let media_type = MediaType::from(media::DOCKER_MANIFEST);
    let name = "theirs".parse().unwrap();
    let image = fixture.store.adopt(&manifest, &media_type, std::slice::from_ref(&name)).unwrap();
    assert_eq!(image.manifest_digest, Digest::of(&manifest));
    assert_eq!((image.id, &image.references), (own.id, &vec![name]));
    assert_eq!(image.layers()[0].media_type, MediaType::ImageLayer);
    fixture.store.remove(&own.manifest_digest.hex(), false).unwrap();
    assert!(fixture.store.gc(&[]).unwrap().blobs.is_empty(), "its blobs are needed");
    assert!(fixture.store.verify().unwrap().is_empty());
    assert!(fixture.store.adopt(&manifest, &MediaType::ImageIndex, &[]).is_err());
}

#[test]
fn an_image_without_a_name_is_found_by_the_digest_of_its_manifest() {
    let fixture = Fixture::new();
    let image = fixture.image(&["a"], &[]);
    let name = format!("anything@{}", image.manifest_digest);
    assert_eq!(fixture.store.resolve(&name).unwrap().id, image.id);
}

#[test]
fn a_configuration_alone_gets_a_manifest() {
    let fixture = Fixture::new();
    let layer = fixture.layer("a");
    let made = fixture.store.put_image(Configuration::from(config()), vec![layer.clone()]).unwrap();
    let config = Blob { digest: made.id, size: Bytes(made.manifest.config().size()) };
    let adopted = fixture.store.adopt_config(&config, std::slice::from_ref(&layer), &[]).unwrap();
    assert_eq!(adopted.manifest_digest, made.manifest_digest);
    assert!(fixture.store.adopt_config(&config, &[layer.clone(), layer], &[]).is_err());
}

use std::io::Write;

use harness_image::{
    Error, Reference,
    base::{ImportOptions, import},
};

use crate::support::{Fixture, tar};

fn reference() -> Reference {
    "imported".parse().unwrap()
}

#[test]
fn plain_gzip_and_zstd_give_the_same_layer() {
    let fixture = Fixture::new();
    let plain = tar(&["etc-passwd", "motd"]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let forms = [plain.clone(), gzip.finish().unwrap(), zstd::encode_all(&plain[..], 1).unwrap()];
    for form in forms {
        let image = import(&fixture.store, &mut &form[..], Some(&reference()), &ImportOptions::default()).unwrap();
        assert_eq!(image.layers().len(), 1);
        assert_eq!(image.layers()[0].size.get(), plain.len() as u64);
        assert_eq!(image.references, [reference()]);
        assert_eq!(fixture.store.blobs().path(&image.layers()[0].digest).metadata().unwrap().len(), plain.len() as u64);
    }
    assert_eq!(fixture.names(), ["imported:latest"]);
}

#[test]
fn bytes_after_the_end_stay_part_of_the_layer() {
    let fixture = Fixture::new();
    let mut padded = tar(&["a"]);
    padded.resize(10_240, 0);
    let image = import(&fixture.store, &mut &padded[..], Some(&reference()), &ImportOptions::default()).unwrap();
    assert_eq!(image.layers()[0].size.get(), 10_240);
}

#[test]
fn what_is_no_root_file_system_is_refused_and_leaves_nothing() {
    let fixture = Fixture::new();
    let whole = tar(&["a", "b", "c"]);
    let mut damaged = whole.clone();
    damaged[1024] ^= 0xff;
    for bad in [&b""[..], b"not a tar", &whole[..700], &damaged, &[0; 1024], &b"\x1f\x8b\x08\0\0\0\0\0"[..]] {
        let error = import(&fixture.store, &mut &*bad, Some(&reference()), &ImportOptions::default()).unwrap_err();
        assert!(matches!(error, Error::Import { .. }), "{error}");
        assert!(!error.to_string().contains('\n'));
    }
    assert!(fixture.store.list().unwrap().is_empty());
    assert!(fixture.store.blobs().list().unwrap().is_empty());
    assert_eq!(fixture.dir.path().join("tmp").read_dir().unwrap().count(), 0);
}

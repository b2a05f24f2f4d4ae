use std::thread;

use harness_image::{Durability, Store};

use crate::support::{Fixture, config};

/// Every thread has its own opening, as separate processes have: flock(2) then works between them.
#[test]
fn openings_that_tag_and_remove_at_once_lose_nothing() {
    const OPENINGS: usize = 6;
    const ROUNDS: usize = 15;
    let fixture = Fixture::new();
    thread::scope(|scope| {
        for n in 0..OPENINGS {
            let (fixture, root) = (&fixture, fixture.dir.path());
            scope.spawn(move || {
                let store = Store::open_with(root, Durability::Skip).unwrap();
                for round in 0..ROUNDS {
                    let lease = store.lease().unwrap();
                    let layers = vec![fixture.layer("shared"), fixture.layer(&format!("{n} {round}"))];
                    let (keep, drop_it) = (format!("keep-{n}:{round}"), format!("drop-{n}:{round}"));
                    let names = [keep.parse().unwrap(), drop_it.parse().unwrap()];
                    store.put_tagged(config(), layers, &names).unwrap();
                    drop(lease);
                    store.remove(&drop_it, false).unwrap();
                    if round % 2 == 1 {
                        store.remove(&keep, false).unwrap();
                    }
                    store.list().unwrap();
                }
            });
        }
    });
    assert_eq!(fixture.names().len(), OPENINGS * ROUNDS.div_ceil(2));
    assert!(fixture.store.verify().unwrap().is_empty());
    fixture.store.gc(&[]).unwrap();
    let images = OPENINGS * ROUNDS.div_ceil(2);
    assert_eq!(fixture.store.blobs().list().unwrap().len(), 1 + 3 * images);
}

/// A temporary file of the index was once taken for that of a dead writer, and the change was lost.
#[test]
fn collections_leave_alone_what_a_change_of_the_index_writes() {
    let fixture = Fixture::new();
    let root = fixture.dir.path();
    let image = fixture.store.put_image(config(), vec![fixture.layer("one")]).unwrap();
    thread::scope(|scope| {
        let collector = scope.spawn(|| (0..2000).for_each(|_| drop(fixture.store.gc(&[]).unwrap())));
        while !collector.is_finished() {
            let store = Store::open_with(root, Durability::Skip).unwrap();
            let name = "again:1".parse().unwrap();
            store.tag(&image.id.to_string(), &name).unwrap();
            store.tag(&image.id.to_string(), &"still:1".parse().unwrap()).unwrap();
            store.remove("again:1", false).unwrap();
        }
    });
}

#[test]
fn writers_of_the_same_content_meet_in_one_blob() {
    let fixture = Fixture::new();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..20).for_each(|n| drop(fixture.layer(&n.to_string()))));
        }
    });
    assert_eq!(fixture.store.blobs().list().unwrap().len(), 20);
}

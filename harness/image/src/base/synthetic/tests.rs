use super::*;
use crate::{
    Durability,
    base::tree::{Entry, Node},
};

/// What is counted in a layer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    files: usize,
    directories: usize,
    symlinks: usize,
    hard_links: usize,
    setuid: usize,
    whiteouts: usize,
    opaque: usize,
}

fn counts(tree: &LayerTree) -> Counts {
    let mut counts = Counts::default();
    for (_, Entry { node, mode, .. }) in tree.iter() {
        match node {
            Node::File { .. } => {
                counts.files += 1;
                counts.setuid += usize::from(mode & 0o6000 != 0);
            }
            Node::Directory => counts.directories += 1,
            Node::Symlink(_) => counts.symlinks += 1,
            Node::HardLink(_) => counts.hard_links += 1,
            Node::Whiteout => counts.whiteouts += 1,
            Node::Opaque => counts.opaque += 1,
        }
    }
    counts
}

fn bytes(tree: &LayerTree) -> u64 {
    sizes(tree).iter().sum()
}

fn sizes(tree: &LayerTree) -> Vec<u64> {
    let size = |(_, entry): (&[u8], &Entry)| match entry.node {
        Node::File { size, .. } => Some(size),
        _ => None,
    };
    let mut sizes: Vec<u64> = tree.iter().filter_map(size).collect();
    sizes.sort_unstable();
    sizes
}

fn percentile<T: Copy>(sorted: &[T], percent: usize) -> T {
    sorted[(sorted.len() - 1) * percent / 100]
}

fn within(found: u64, expected: u64, percent: u64) -> bool {
    found.abs_diff(expected) * 100 <= expected * percent
}

#[test]
fn slim_has_the_measured_shape() {
    let slim = distribution("slim", &shapes::SLIM);
    let expected =
        Counts { files: 3256, directories: 453, symlinks: 506, hard_links: 2, setuid: 11, ..Counts::default() };
    assert_eq!(counts(&slim), expected);
    assert_eq!(bytes(&slim), 75_100_000);

    let sizes = sizes(&slim);
    for (percent, size) in [(10, 178), (25, 573), (50, 1610), (75, 12_800), (90, 43_900), (95, 77_100), (99, 318_000)] {
        assert!(within(percentile(&sizes, percent), size, 35), "p{percent}: {}", percentile(&sizes, percent));
    }

    let directory = |(path, entry): (&[u8], &Entry)| matches!(entry.node, Node::Directory).then(|| path.to_vec());
    let directories: Vec<Vec<u8>> = slim.iter().filter_map(directory).collect();
    let mut depths: Vec<usize> = directories.iter().map(|path| grow::depth(path)).collect();
    depths.sort_unstable();
    assert_eq!((percentile(&depths, 50), percentile(&depths, 90), depths[depths.len() - 1]), (4, 7, 7));

    let mut held: std::collections::BTreeMap<&[u8], u32> =
        directories.iter().map(|path| (path.as_slice(), 0)).collect();
    for (path, _) in slim.iter() {
        let cut = path.iter().rposition(|byte| *byte == b'/');
        if let Some(held) = cut.and_then(|cut| held.get_mut(&path[..cut])) {
            *held += 1;
        }
    }
    let mut held: Vec<u32> = held.into_values().collect();
    held.sort_unstable();
    assert_eq!(percentile(&held, 50), 1);
    assert!(within(percentile(&held, 90).into(), 16, 20), "{held:?}");
    assert!(within((*held.last().unwrap()).into(), 420, 5), "{held:?}");

    let mut names: Vec<usize> =
        slim.iter().map(|(path, _)| path.rsplit(|b| *b == b'/').next().unwrap().len()).collect();
    names.sort_unstable();
    assert_eq!(percentile(&names, 50), 8);
    assert!((43..=46).contains(names.last().unwrap()));
}

#[test]
fn tiny_is_slim_cut_down() {
    let tiny = distribution("tiny", &shapes::TINY);
    let expected = Counts { files: 400, directories: 80, symlinks: 300, setuid: 2, ..Counts::default() };
    assert_eq!(counts(&tiny), expected);
    assert_eq!(bytes(&tiny), 8_000_000);
}

#[test]
fn app_has_the_measured_layers() {
    let slim = distribution("slim", &shapes::SLIM);
    let layers = app::layers(&slim);
    let [packages, libraries, copied, changed, deleted] = layers.as_slice() else { panic!("{} layers", layers.len()) };

    let new = |layer: &LayerTree, below: &LayerTree| {
        let mut own = LayerTree::default();
        layer.iter().filter(|(path, _)| !below.contains(path)).for_each(|(path, entry)| own.put(path, entry.clone()));
        own
    };
    let mut below = slim;
    let own = new(packages, &below);
    let expected = Counts { files: 3817, directories: 378, symlinks: 426, ..Counts::default() };
    assert_eq!(counts(&own), expected);
    assert_eq!(bytes(&own), 77_700_000);
    assert_eq!(counts(packages).files, 3817 + 13);
    assert_eq!(bytes(packages), 77_700_000 + 1_790_000);
    let touched = counts(packages).directories - 378;
    assert!((35..=39).contains(&touched), "{touched} directories of the layers below");

    below.lay_over(packages);
    let own = new(libraries, &below);
    assert_eq!(counts(&own), Counts { files: 5763, directories: 622, ..Counts::default() });
    assert_eq!(bytes(&own), 161_600_000);
    assert_eq!(counts(libraries).directories, 624);

    below.lay_over(libraries);
    assert_eq!(counts(copied), Counts { files: 200, directories: 20, ..Counts::default() });
    assert_eq!(bytes(copied), 2_000_000);

    below.lay_over(copied);
    assert_eq!(counts(changed).files, 250);
    assert!(changed.iter().filter(|(_, entry)| entry.owner == 1000).count() == 220);
    assert!(changed.iter().all(|(path, _)| below.contains(path)));

    below.lay_over(changed);
    let deletion = counts(deleted);
    assert_eq!((deletion.files, deletion.whiteouts, deletion.opaque), (5, 50, 1));
    let files = counts(&below).files;
    assert!(within(files as u64, 13_050, 1), "{files}");
    assert!(within(layers.iter().map(bytes).sum::<u64>() + 75_100_000, 316_000_000, 5));
}

/// Nothing grows beside the directories that every image has.
#[test]
fn the_top_of_the_tree_is_the_usual_one() {
    let mut image = distribution("slim", &shapes::SLIM);
    for layer in app::layers(&image) {
        image.lay_over(&layer);
    }
    let top: Vec<_> = image.iter().filter(|(path, _)| !path.contains(&b'/')).map(|(path, _)| path).collect();
    assert_eq!(top.len(), 15 + 4 + 1, "{top:?}");
}

/// The same on every machine and in every version: whoever changes these changes `GENERATOR` with them.
#[test]
fn tiny_and_slim_are_these_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(dir.path(), Durability::Skip).unwrap();
    let digest = |image: Synthetic| image.make(&store).unwrap().layers[0].1.digest.to_string();
    assert_eq!(digest(Synthetic::Tiny), "sha256:41245fb3e3db230433095159bce537a32569811f79e868556c28b2b0088b709b");
    assert_eq!(digest(Synthetic::Slim), "sha256:7a9d54f892ab9ecf21b70a5b54b73621885ab05c099aa3c9a81c01d6a932fb0c");
}

#[test]
fn names_are_read_and_printed() {
    for name in ["tiny", "slim", "app", "deep-1", "deep-120", "big", "many"] {
        assert_eq!(name.parse::<Synthetic>().unwrap().to_string(), name);
    }
    for name in ["", "deep", "deep-", "deep-0", "deep-501", "deep--1", "Slim"] {
        assert!(name.parse::<Synthetic>().is_err(), "{name}");
    }
}

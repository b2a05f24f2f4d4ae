//! The layers above `slim`.

use std::collections::BTreeSet;

use super::{
    content::generator,
    grow::{Ground, grow},
    random::{below, shuffle},
    shapes,
};
use crate::base::tree::{Entry, LayerTree, Node, Source};

/// Files of `slim` and of the installed packages that the last layer deletes.
const DELETED: usize = 50;
/// Files whose mode changes, which as a layer means that they are stored again.
const CHANGED: usize = 50;
/// Who owns the copied application.
const OWNER: u32 = 1000;

/// `app`'s layers above `slim`: packages, libraries, a copied application, a change of owners and modes, a
/// deletion.
pub fn layers(slim: &LayerTree) -> Vec<LayerTree> {
    let mut below = slim.clone();
    let makers: [fn(&LayerTree) -> LayerTree; 5] = [packages, libraries, copied, changed, deleted];
    let make = |maker: fn(&LayerTree) -> LayerTree| {
        let mut layer = maker(&below);
        layer.add_parents(&below);
        below.lay_over(&layer);
        layer
    };
    makers.into_iter().map(make).collect()
}

fn packages(below: &LayerTree) -> LayerTree {
    let mut hosts = paths(below, |path, entry| {
        matches!(entry.node, Node::Directory)
            && (path.starts_with(b"usr/") || path.starts_with(b"var/") || path.starts_with(b"etc/"))
            && (2..=6).contains(&super::grow::depth(path))
            && !shapes::CLOSED.iter().any(|closed| closed.as_bytes() == path)
    });
    let mut rng = generator("app packages, places");
    shuffle(&mut hosts, &mut rng);
    hosts = with_parents(hosts, shapes::APT_HOSTS);
    let mut replaced = files(below, |path| hosts.iter().any(|host| is_in(path, host)));
    shuffle(&mut replaced, &mut rng);
    let ground = Ground { name: "app packages", hosts, below: below.clone(), ..Ground::default() };
    let mut layer = grow(&shapes::APT, &ground);
    for (path, size) in replaced.iter().zip(shapes::REPLACED) {
        let key = format!("app packages, again/{}", String::from_utf8_lossy(path));
        layer.file(path, 0o644, size, Source::Seed(key));
    }
    layer
}

/// As many of the directories as there are `count` of together with those above them.
fn with_parents(directories: Vec<Vec<u8>>, count: usize) -> Vec<Vec<u8>> {
    let mut touched = BTreeSet::new();
    let mut chosen = Vec::new();
    for path in directories {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut more = touched.clone();
        more.extend(slashes.map(|(at, _)| path[..at].to_vec()));
        more.insert(path.clone());
        if more.len() <= count {
            touched = more;
            chosen.push(path);
        }
    }
    chosen
}

fn libraries(below: &LayerTree) -> LayerTree {
    let ground = Ground {
        name: "app libraries",
        skeleton: shapes::PIP_SKELETON,
        closed: &["usr/local/lib", "usr/local/lib/runtime"],
        below: below.clone(),
        ..Ground::default()
    };
    grow(&shapes::PIP, &ground)
}

fn copied(below: &LayerTree) -> LayerTree {
    let ground = Ground { name: "app copied", skeleton: &[("app", 0o755)], below: below.clone(), ..Ground::default() };
    grow(&shapes::COPIED, &ground)
}

/// `chown -R 1000:1000 /app`, and `chmod` of some files elsewhere.
fn changed(below: &LayerTree) -> LayerTree {
    let mut layer = LayerTree::default();
    for (path, entry) in below.iter().filter(|(path, _)| *path == b"app" || path.starts_with(b"app/")) {
        layer.put(path, Entry { owner: OWNER, ..entry.clone() });
    }
    let mut others = files(below, |path| path.starts_with(b"usr/"));
    shuffle(&mut others, &mut generator("app changed"));
    for path in others.iter().take(CHANGED) {
        if let Some(entry) = below.get(path) {
            layer.put(path, Entry { mode: entry.mode & 0o7700 | 0o040, ..entry.clone() });
        }
    }
    layer
}

/// Whiteouts of single files, and one directory whose content is replaced as a whole.
fn deleted(below: &LayerTree) -> LayerTree {
    let mut rng = generator("app deleted");
    let mut layer = LayerTree::default();
    let libraries = format!("{}/", shapes::PIP_SKELETON[2].0);
    let mut replaced = paths(below, |path, entry| {
        path.starts_with(libraries.as_bytes())
            && matches!(entry.node, Node::Directory)
            && files(below, |file| is_in(file, path)).len() >= 5
    });
    replaced.truncate(20);
    let directory = replaced.swap_remove(below_len(&mut rng, replaced.len()));
    if let Some(entry) = below.get(&directory) {
        layer.put(&directory, entry.clone());
    }
    layer.opaque(&directory);
    for number in 0..5 {
        let path = [directory.as_slice(), format!("/new{number}").as_bytes()].concat();
        let key = format!("app deleted/{}", String::from_utf8_lossy(&path));
        layer.file(&path, 0o644, 1000 * (number + 1), Source::Seed(key));
    }
    let mut victims = files(below, |path| path.starts_with(b"usr/") && !path.starts_with(&directory));
    shuffle(&mut victims, &mut rng);
    victims.iter().take(DELETED).for_each(|path| layer.whiteout(path));
    layer
}

fn below_len(rng: &mut rand_chacha::ChaCha8Rng, length: usize) -> usize {
    below(rng, length.max(1) as u64) as usize
}

fn is_in(path: &[u8], directory: &[u8]) -> bool {
    let rest = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix(b"/"));
    rest.is_some_and(|name| !name.contains(&b'/'))
}

/// Regular files that have no hard links.
fn files(tree: &LayerTree, wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let linked: Vec<&[u8]> = tree
        .iter()
        .filter_map(|(_, entry)| match &entry.node {
            Node::HardLink(target) => Some(target.as_slice()),
            _ => None,
        })
        .collect();
    paths(tree, |path, entry| matches!(entry.node, Node::File { .. }) && !linked.contains(&path) && wanted(path))
}

fn paths(tree: &LayerTree, wanted: impl Fn(&[u8], &Entry) -> bool) -> Vec<Vec<u8>> {
    tree.iter().filter(|(path, entry)| wanted(path, entry)).map(|(path, _)| path.to_vec()).collect()
}

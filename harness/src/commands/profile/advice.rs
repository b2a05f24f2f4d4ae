//! What to change in a Dockerfile, from what its layers hold.

use harness_image::{End, Fate, Tally};
use storage_driver::Bytes;

use super::findings::{Findings, Step};

/// Less than this is not worth a word.
const WORTH_IT: Bytes = Bytes(64 << 10);

/// What programs keep for their next run, which in an image never comes.
const CACHES: [(&str, &str); 13] = [
    ("var/lib/apt/lists/", "end the RUN with `rm -rf /var/lib/apt/lists/*`"),
    ("var/cache/apt/", "end the RUN with `apt-get clean`, or RUN --mount=type=cache,target=/var/cache/apt"),
    ("var/cache/apk/", "use `apk add --no-cache`"),
    ("var/cache/dnf/", "RUN --mount=type=cache,target=/var/cache/dnf"),
    ("var/cache/yum/", "RUN --mount=type=cache,target=/var/cache/yum"),
    ("root/.cache/pip/", "use `pip install --no-cache-dir`, or RUN --mount=type=cache,target=/root/.cache/pip"),
    ("root/.npm/", "RUN --mount=type=cache,target=/root/.npm"),
    ("usr/local/share/.cache/yarn/", "RUN --mount=type=cache,target=/usr/local/share/.cache/yarn"),
    ("root/.cache/go-build/", "RUN --mount=type=cache,target=/root/.cache/go-build"),
    ("usr/local/cargo/registry/", "RUN --mount=type=cache,target=/usr/local/cargo/registry"),
    ("root/.cargo/registry/", "RUN --mount=type=cache,target=/root/.cargo/registry"),
    ("root/.m2/", "RUN --mount=type=cache,target=/root/.m2"),
    ("root/.gradle/", "RUN --mount=type=cache,target=/root/.gradle"),
];

/// Directories that are hardly ever meant to be copied.
const STRAYS: [&str; 3] = [".git", "node_modules", "__pycache__"];

/// For one instruction, the dearest first as far as that can be told.
pub fn advise(found: &Findings, step: &Step) -> Vec<String> {
    let Some(layer) = step.layer else { return Vec::new() };
    let mut advice = Vec::new();
    for (origin, tally) in &found.layers[layer].same_bytes {
        if tally.bytes >= WORTH_IT {
            advice.push(attributes_only(found, step, *origin, tally));
        }
    }
    for end in &found.layers[layer].ends {
        let Some((number, _)) = found.maker(end.by).filter(|_| end.tally.bytes >= WORTH_IT) else { continue };
        let (what, it) = (said(&end.tally), it(&end.tally));
        advice.push(match end.fate {
            Fate::Deleted => format!("{what} deleted by step {number}, and still shipped: {}", instead(step, end)),
            Fate::Moved => format!("{what} moved by step {number}, and shipped twice: put {it} in its place at once"),
            Fate::Overwritten => format!("{what} written again by step {number}: write {it} once"),
        });
    }
    advice.extend(from_the_base(found, layer));
    advice.extend(if is_copy(step) { strays(found, layer) } else { caches(found, layer) });
    advice
}

/// The same bytes again, for the sake of a mode, an owner or a time.
fn attributes_only(found: &Findings, step: &Step, origin: usize, tally: &Tally) -> String {
    let has = |word: &str| step.instruction.split(|c: char| !c.is_alphanumeric()).any(|known| known == word);
    let (what, flags) = match (has("chmod"), has("chown") || has("chgrp")) {
        (true, false) => ("chmod copies up", "--chmod"),
        (false, true) => ("chown copies up", "--chown"),
        (true, true) => ("chmod and chown copy up", "--chown and --chmod"),
        (false, false) if has("touch") => ("touch copies up", ""),
        (false, false) => ("this writes", ""),
    };
    let remedy = match found.maker(origin) {
        Some((number, maker)) if is_copy(maker) && !flags.is_empty() => {
            let name = maker.instruction.split_whitespace().next().unwrap_or("COPY");
            format!("use {name} {flags} in step {number}")
        }
        Some((number, _)) => format!("do it in step {number}, which writes {}", it(tally)),
        None if tally.files == 1 => "it is the base image's".to_owned(),
        None => "they are the base image's: change only those that must".to_owned(),
    };
    let are = if tally.files == 1 { "file" } else { "files" };
    format!("{what} {} ({} {are}) without changing a byte: {remedy}", tally.bytes, tally.files)
}

/// How to do without what a later step deletes.
fn instead(step: &Step, end: &End) -> String {
    let known = CACHES.iter().find(|(place, _)| end.tally.largest.starts_with(place.as_bytes()));
    match known {
        Some((_, remedy)) => (*remedy).to_owned(),
        None if is_copy(step) => format!("RUN --mount=type=bind reads {} without a layer", it(&end.tally)),
        None => {
            let it = it(&end.tally);
            format!("delete {it} in the RUN that writes {it}, or make {it} in another stage")
        }
    }
}

/// Deleting what the base has makes no image smaller.
fn from_the_base(found: &Findings, layer: usize) -> Option<String> {
    let base = found.layers.iter().enumerate().filter(|(index, _)| found.maker(*index).is_none());
    let gone = base.flat_map(|(_, contents)| &contents.ends);
    let gone = gone.filter(|end| end.by == layer && end.fate == Fate::Deleted);
    let bytes: Bytes = gone.map(|end| end.tally.bytes).sum();
    (bytes >= WORTH_IT)
        .then(|| format!("deletes {bytes} of the base image, which are still shipped: take a smaller base"))
}

/// Caches that go into the layer and that nothing deletes.
fn caches(found: &Findings, layer: usize) -> Vec<String> {
    let contents = &found.layers[layer];
    let told = |place: &str| contents.ends.iter().any(|end| end.tally.largest.starts_with(place.as_bytes()));
    let shipped = CACHES.iter().filter(|(place, _)| !told(place)).filter_map(|(place, remedy)| {
        let below = contents.files.iter().filter(|(name, _)| name.starts_with(place.as_bytes()));
        let bytes: Bytes = below.map(|(_, size)| *size).sum();
        (bytes >= WORTH_IT).then(|| format!("/{place} takes {bytes} of the layer: {remedy}"))
    });
    shipped.collect()
}

fn strays(found: &Findings, layer: usize) -> Vec<String> {
    let stray = |stray: &&str| {
        let is_below = |name: &[u8]| {
            let mut parts: Vec<_> = name.split(|byte| *byte == b'/').collect();
            parts.pop();
            parts.contains(&stray.as_bytes())
        };
        let below = found.layers[layer].files.iter().filter(|(name, _)| is_below(name));
        let bytes: Bytes = below.map(|(_, size)| *size).sum();
        (bytes >= WORTH_IT).then(|| format!("copies {bytes} of {stray}: name it in .dockerignore"))
    };
    STRAYS.iter().filter_map(stray).collect()
}

fn is_copy(step: &Step) -> bool {
    let name = step.instruction.split_whitespace().next().unwrap_or_default();
    name.eq_ignore_ascii_case("COPY") || name.eq_ignore_ascii_case("ADD")
}

/// A pronoun.
const fn it(tally: &Tally) -> &'static str {
    if tally.files == 1 { "it" } else { "them" }
}

fn said(tally: &Tally) -> String {
    let largest = String::from_utf8_lossy(&tally.largest);
    match tally.files {
        1 => format!("{} in /{largest} are", tally.bytes),
        files => format!("{} in {files} files (the largest /{largest}) are", tally.bytes),
    }
}

#[cfg(test)]
mod tests {
    use harness_image::{Blob, LayerBlob, Store, contents};
    use storage_layer::{Attributes, TarWriter};

    use super::*;

    type Tar = TarWriter<Vec<u8>>;
    /// An instruction, and what it writes.
    type Made<'a> = (&'a str, &'a dyn Fn(&mut Tar));

    fn file(tar: &mut Tar, name: &str, kib: usize) {
        let content = name.as_bytes().iter().copied().cycle().take(kib << 10).collect::<Vec<_>>();
        tar.file(name.as_bytes(), &Attributes::default(), content.len() as u64, &mut &content[..]).unwrap();
    }

    /// A base image's layer, then one for each instruction.
    fn advice(layers: &[Made<'_>]) -> Vec<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let put = |(_, fill): &Made<'_>| -> LayerBlob {
            let mut tar = TarWriter::new(Vec::new());
            fill(&mut tar);
            let blob: Blob = store.blobs().put(&tar.finish().unwrap()).unwrap();
            LayerBlob::plain(blob)
        };
        let blobs: Vec<_> = layers.iter().map(put).collect();
        let steps = layers.iter().enumerate().skip(1).map(|(index, (instruction, _))| Step {
            label: format!("{index:02} {instruction}"),
            instruction: (*instruction).to_owned(),
            layer: Some(index),
        });
        let found = Findings { steps: steps.collect(), layers: contents(&store, &blobs).unwrap() };
        found.steps.iter().map(|step| advise(&found, step)).collect()
    }

    #[test]
    fn attributes_belong_into_the_copy() {
        let found = advice(&[
            ("", &|tar| file(tar, "b", 100)),
            ("COPY . /app", &|tar| file(tar, "app/big", 100)),
            ("RUN chmod -R a+r /app", &|tar| file(tar, "app/big", 100)),
            ("RUN chown 5 /b", &|tar| file(tar, "b", 100)),
        ]);
        assert_eq!(found[0], [""; 0]);
        assert_eq!(found[1], ["chmod copies up 102kB (1 file) without changing a byte: use COPY --chmod in step 1"]);
        assert!(found[2][0].starts_with("chown copies up") && found[2][0].contains("base image's"), "{found:?}");
    }

    #[test]
    fn what_is_deleted_later_is_named_with_the_way_to_do_without() {
        let found = advice(&[
            ("", &|tar| file(tar, "usr/doc", 100)),
            ("ADD x.tar /src", &|tar| file(tar, "src/x", 100)),
            ("RUN make", &|tar| file(tar, "tmp/o", 100)),
            ("RUN apt-get update", &|tar| file(tar, "var/lib/apt/lists/all", 100)),
            ("RUN rm -rf /src /tmp/o /var/lib/apt/lists/* /usr/doc", &|tar| {
                for name in [&b"src"[..], b"tmp/o", b"var/lib/apt/lists/all", b"usr/doc"] {
                    tar.whiteout(name).unwrap();
                }
            }),
        ]);
        assert!(found[0][0].contains("deleted by step 4") && found[0][0].contains("--mount=type=bind"), "{found:?}");
        assert!(found[1][0].contains("another stage"), "{found:?}");
        assert!(found[2].len() == 1 && found[2][0].contains("rm -rf /var/lib/apt/lists/*"), "{found:?}");
        assert!(found[3][0].contains("smaller base"), "{found:?}");
    }

    #[test]
    fn caches_and_strays_are_named_and_little_is_not() {
        let found = advice(&[
            ("", &|_| ()),
            ("COPY . .", &|tar| {
                file(tar, "app/.git/pack", 100);
                file(tar, "app/node_modules", 100);
            }),
            ("RUN pip install x", &|tar| file(tar, "root/.cache/pip/w", 100)),
            ("RUN pip install y", &|tar| file(tar, "root/.cache/pip/v", 1)),
        ]);
        assert_eq!(found[0], ["copies 102kB of .git: name it in .dockerignore"]);
        assert!(found[1][0].contains("--no-cache-dir"), "{found:?}");
        assert_eq!(found[2], [""; 0]);
    }

    #[test]
    fn what_is_changed_again_and_again_is_told_of_the_step_that_wrote_it_first() {
        let big = |tar: &mut Tar| file(tar, "app/big", 100);
        let found = advice(&[
            ("", &|_| ()),
            ("COPY . /app", &big),
            ("RUN chmod -R 755 /app", &big),
            ("RUN chmod -R g-w /app; chown -R 5:5 /app", &big),
            ("RUN touch /app/big", &big),
            ("RUN rm -r /app", &|tar| tar.whiteout(b"app").unwrap()),
        ]);
        assert_eq!(found[0].len(), 1, "{found:?}");
        assert!(found[0][0].contains("deleted by step 5"), "{found:?}");
        assert!(found[1][0].ends_with("use COPY --chmod in step 1"), "{found:?}");
        assert!(found[2][0].starts_with("chmod and chown copy up 102kB"), "{found:?}");
        assert!(found[2][0].ends_with("use COPY --chown and --chmod in step 1"), "{found:?}");
        // That the bytes are deleted in the end is told of the step that wrote them first, and of no other.
        assert_eq!(
            found[3],
            ["touch copies up 102kB (1 file) without changing a byte: do it in step 1, which writes it"]
        );
    }

    #[test]
    fn what_is_moved_belongs_where_it_is_moved_to() {
        let found = advice(&[
            ("", &|_| ()),
            ("COPY . /app", &|tar| file(tar, "app/big", 100)),
            ("RUN mv /app /srv", &|tar| {
                tar.whiteout(b"app").unwrap();
                let content = b"app/big".iter().copied().cycle().take(100 << 10).collect::<Vec<_>>();
                tar.file(b"srv/big", &Attributes::default(), content.len() as u64, &mut &content[..]).unwrap();
            }),
        ]);
        assert_eq!(found[0], ["102kB in /app/big are moved by step 2, and shipped twice: put it in its place at once"]);
    }

    #[test]
    fn what_is_written_twice_is_told_once() {
        let found =
            advice(&[("", &|_| ()), ("RUN a", &|tar| file(tar, "f", 100)), ("RUN b", &|tar| file(tar, "f", 101))]);
        assert!(found[0][0].ends_with("written again by step 2: write it once"), "{found:?}");
        assert_eq!(found[1], [""; 0]);
    }
}

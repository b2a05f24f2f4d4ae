//! `--filter` of `images`, with docker's names.

use harness_image::{Image, Reference, Store};
use storage_driver::Timestamp;

use super::created;
use crate::{
    commands::filters::{Label, boolean, pair, time},
    failure::{Failure, Result, images_failure},
    nearest,
};

const NAMES: [&str; 6] = ["before", "dangling", "label", "reference", "since", "until"];

/// One condition.
#[derive(Debug)]
pub enum Filter {
    /// Made before an image.
    Before(Option<Timestamp>),
    /// Has no name, or has one.
    Dangling(bool),
    /// Has a label, of any value or of this one.
    Label(Label),
    /// Has a name like this one.
    Reference(String),
    /// Made after an image.
    Since(Option<Timestamp>),
}

impl Filter {
    /// Reads `NAME=VALUE`.
    pub fn read(text: &str, store: &Store) -> Result<Self> {
        let (name, value) = pair(text)?;
        let made = || Ok::<_, Failure>(created(&store.resolve(value).map_err(images_failure)?));
        match name {
            "before" => Ok(Self::Before(made()?)),
            "since" => Ok(Self::Since(made()?)),
            // What was made at that time fits neither.
            "until" => Ok(Self::Before(Some(time(value)?))),
            "dangling" => Ok(Self::Dangling(boolean(name, value)?)),
            "label" => Ok(Self::Label(Label::read(value))),
            "reference" => Ok(Self::Reference(value.to_owned())),
            other => Err(Failure::usage(nearest::unknown("filter", other, NAMES))),
        }
    }

    /// Whether all of them take this line: filters of one name are alternatives for `reference`, as docker has it.
    pub fn all_take(filters: &[Self], image: &Image, name: Option<&Reference>) -> bool {
        let is_reference = |filter: &&Self| matches!(filter, Self::Reference(_));
        let mut references = filters.iter().filter(is_reference).peekable();
        let named = references.peek().is_none() || references.any(|filter| filter.takes(image, name));
        named && filters.iter().filter(|filter| !is_reference(filter)).all(|filter| filter.takes(image, name))
    }

    fn takes(&self, image: &Image, name: Option<&Reference>) -> bool {
        match self {
            Self::Before(then) => created(image) < *then,
            Self::Since(then) => created(image) > *then,
            Self::Dangling(dangling) => name.is_none() == *dangling,
            Self::Label(label) => {
                let labels = image.config.config().as_ref().and_then(|config| config.labels().as_ref());
                label.is_among(labels.into_iter().flatten())
            }
            Self::Reference(pattern) => name.is_some_and(|name| {
                let repository = name.familiar_repository();
                let tagged = name.tag().map(|tag| format!("{repository}:{tag}"));
                is_like(pattern, &repository) || tagged.is_some_and(|tagged| is_like(pattern, &tagged))
            }),
        }
    }
}

/// `*` stands for any characters but a slash, `?` for one.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    if first == '*' {
        let ends = text.char_indices().take_while(|(_, c)| *c != '/').map(|(at, c)| at + c.len_utf8());
        return std::iter::once(0).chain(ends).any(|end| is_like(rest, &text[end..]));
    }
    let mut left = text.chars();
    left.next().is_some_and(|c| if first == '?' { c != '/' } else { c == first }) && is_like(rest, left.as_str())
}

#[cfg(test)]
mod tests {
    use super::is_like;

    #[test]
    fn patterns_stop_at_slashes() {
        for (pattern, text) in [("*", "app"), ("a?p:*", "app:1"), ("*/app", "me/app"), ("app", "app"), ("a*", "a")] {
            assert!(is_like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("*", "me/app"), ("app", "apple"), ("", "a"), ("a?", "a")] {
            assert!(!is_like(pattern, text), "{pattern} {text}");
        }
    }
}

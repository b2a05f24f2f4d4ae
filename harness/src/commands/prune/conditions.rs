//! `--filter` of prunes.

use storage_driver::Timestamp;

use crate::{
    commands::filters::{Label, pair, time},
    failure::{Failure, Result},
    nearest,
};

/// What has to hold of a thing for it to go.
#[derive(Debug, Default)]
pub struct Conditions {
    /// It was made before this time.
    until: Option<Timestamp>,
    /// It has all of these labels.
    with: Vec<Label>,
    /// It has none of these.
    without: Vec<Label>,
}

impl Conditions {
    pub fn read(filters: &[String]) -> Result<Self> {
        let mut conditions = Self::default();
        for text in filters {
            let (name, value) = pair(text)?;
            match name {
                "until" => conditions.until = Some(time(value)?),
                "label" => conditions.with.push(Label::read(value)),
                "label!" => conditions.without.push(Label::read(value)),
                _ => return Err(Failure::usage(nearest::unknown("filter", name, ["until", "label", "label!"]))),
            }
        }
        Ok(conditions)
    }

    /// Whether a thing that was made then and has these labels fits.
    pub fn take<'a>(
        &self,
        made: Option<Timestamp>,
        labels: impl IntoIterator<Item = (&'a String, &'a String)> + Clone,
    ) -> bool {
        self.until.is_none_or(|until| made < Some(until))
            && self.with.iter().all(|label| label.is_among(labels.clone()))
            && !self.without.iter().any(|label| label.is_among(labels.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn all_conditions_have_to_hold() {
        let labels = BTreeMap::from([("keep".to_owned(), "1".to_owned())]);
        let none = BTreeMap::new();
        let take = |filters: &[&str], labels| {
            let filters: Vec<_> = filters.iter().map(|&filter| filter.to_owned()).collect();
            Conditions::read(&filters).unwrap().take(Some(Timestamp(5_000_000_000)), labels)
        };
        assert!(take(&[], &labels) && take(&["label=keep"], &labels) && take(&["label!=keep"], &none));
        assert!(!take(&["label!=keep"], &labels) && !take(&["label=keep=2"], &labels) && !take(&["label=keep"], &none));
        assert!(take(&["until=6"], &none) && !take(&["until=5"], &none) && !take(&["until=6", "label=x"], &labels));
        assert!(Conditions::read(&["colour=red".to_owned()]).is_err());
    }
}

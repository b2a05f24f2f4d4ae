use std::collections::BTreeMap;

use crate::{Error, Result};

/// A parameter that a workload has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it is when nothing is said.
    pub default: &'static str,
    /// What it is with `--quick`.
    pub quick: &'static str,
    /// For people.
    pub about: &'static str,
}

/// The parameters in force for one workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// The defaults with what was given over them.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a name that the workload does not have, with those it has.
    pub fn new(known: &[Param], given: &BTreeMap<String, String>, quick: bool) -> Result<Self> {
        let choose = |param: &Param| if quick { param.quick } else { param.default }.to_owned();
        let mut params: BTreeMap<_, _> = known.iter().map(|param| (param.name.to_owned(), choose(param))).collect();
        for (name, value) in given {
            let Some(found) = params.get_mut(name) else {
                let names: Vec<_> = known.iter().map(|param| param.name).collect();
                let why = format!("there is none of this name; there are {}", names.join(", "));
                return Err(Error::Parameter { name: name.clone(), why });
            };
            found.clone_from(value);
        }
        Ok(Self(params))
    }

    /// A parameter as text.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A parameter as a number within bounds.
    ///
    /// # Errors
    /// [`Error::Parameter`] when it is none.
    pub fn number(&self, name: &str, bounds: std::ops::RangeInclusive<u64>) -> Result<u64> {
        let text = self.text(name);
        text.parse().ok().filter(|number| bounds.contains(number)).ok_or_else(|| Error::Parameter {
            name: name.to_owned(),
            why: format!("it takes a number from {} to {}, not {text:?}", bounds.start(), bounds.end()),
        })
    }

    /// A parameter as numbers with commas between, each within bounds.
    ///
    /// # Errors
    /// [`Error::Parameter`] when one is none, or there are none.
    pub fn numbers(&self, name: &str, bounds: std::ops::RangeInclusive<u64>) -> Result<Vec<u64>> {
        let text = self.text(name);
        let one = |text: &str| text.trim().parse().ok().filter(|number| bounds.contains(number));
        text.split(',').map(one).collect::<Option<Vec<u64>>>().ok_or_else(|| Error::Parameter {
            name: name.to_owned(),
            why: format!("it takes numbers from {} to {} with commas, not {text:?}", bounds.start(), bounds.end()),
        })
    }

    /// A parameter that is one of a few words.
    ///
    /// # Errors
    /// [`Error::Parameter`] when it is another.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T> {
        let text = self.text(name);
        choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            Error::Parameter { name: name.to_owned(), why: format!("it takes {}, not {text:?}", words.join(" or ")) }
        })
    }

    /// A parameter that is some of a few words with commas between, or `all`.
    ///
    /// # Errors
    /// [`Error::Parameter`] when one is another, or there are none.
    pub fn choices<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Vec<T>> {
        let text = self.text(name);
        if text == "all" {
            return Ok(choices.iter().map(|(_, choice)| *choice).collect());
        }
        let one = |text: &str| choices.iter().find(|(word, _)| *word == text.trim()).map(|(_, choice)| *choice);
        text.split(',').map(one).collect::<Option<Vec<T>>>().ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            let why = format!("it takes all, or of {} some with commas, not {text:?}", words.join(", "));
            Error::Parameter { name: name.to_owned(), why }
        })
    }

    /// All of them, for the record.
    #[must_use]
    pub const fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Param] = &[Param { name: "files", default: "2000", quick: "100", about: "" }];

    fn given(name: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn defaults_give_way() {
        let defaults = Params::new(KNOWN, &BTreeMap::new(), true).unwrap();
        assert_eq!(defaults.number("files", 1..=10_000).unwrap(), 100);
        let set = Params::new(KNOWN, &given("files", "7"), false).unwrap();
        assert_eq!(set.text("files"), "7");
        assert!(set.number("files", 10..=20).is_err());
    }

    #[test]
    fn lists_and_words_are_read_whole_or_refused() {
        let numbers = |text: &str| {
            let set = Params::new(KNOWN, &given("files", text), false).unwrap();
            set.numbers("files", 1..=64).ok()
        };
        assert_eq!(numbers("1, 4,64"), Some(vec![1, 4, 64]));
        assert_eq!((numbers("1,"), numbers("1,65"), numbers("")), (None, None, None));
        let set = Params::new(KNOWN, &given("files", "few"), false).unwrap();
        assert_eq!(set.choice("files", &[("many", 1), ("few", 2)]).unwrap(), 2);
        let error = set.choice("files", &[("many", 1), ("none", 2)]).unwrap_err().to_string();
        assert!(error.contains("many or none"), "{error}");
        let words = |text: &str| {
            let set = Params::new(KNOWN, &given("files", text), false).unwrap();
            set.choices("files", &[("many", 1), ("few", 2)]).ok()
        };
        assert_eq!((words("few, many"), words("all")), (Some(vec![2, 1]), Some(vec![1, 2])));
        assert_eq!((words("few,"), words("none"), words("")), (None, None, None));
    }

    #[test]
    fn unknown_names_are_told_with_the_known_ones() {
        let error = Params::new(KNOWN, &given("file", "7"), false).unwrap_err();
        assert!(error.to_string().contains("files"), "{error}");
    }
}

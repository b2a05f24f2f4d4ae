/// Which cases are wanted, by their full names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Only those whose names contain this.
    pub only: &'a str,
    /// None whose name contains one of these.
    pub skip: &'a [String],
}

impl Filter<'_> {
    pub(crate) fn takes(&self, name: &str) -> bool {
        name.contains(self.only) && !self.skip.iter().any(|text| name.contains(text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_is_not_taken_even_where_it_is_asked_for() {
        let skip = ["deep".to_owned(), "128".to_owned()];
        let filter = Filter { only: "graph", skip: &skip };
        assert!(filter.takes("graphtest::diff"));
        assert!(!filter.takes("graphtest::deep-layer") && !filter.takes("fidelity::acls"));
        assert!(Filter::default().takes("anything"));
    }
}

use std::collections::BTreeSet;

use super::Rule;
use crate::near;

/// What `# check=skip=RULE,RULE;error=true;experimental=RULE` chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    skip: Names,
    experimental: Names,
    /// A warning fails the build.
    pub is_error: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    rules: BTreeSet<Rule>,
}

impl Chosen {
    pub fn read(text: &str) -> Result<Self, String> {
        let mut chosen = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some(("skip", value)) => chosen.skip = Names::read(value)?,
                Some(("experimental", value)) => chosen.experimental = Names::read(value)?,
                Some(("error", "true")) => chosen.is_error = true,
                Some(("error", "false")) => chosen.is_error = false,
                Some(("error", other)) => return Err(format!("error is true or false, not {other:?}")),
                _ => return Err(format!("checks are chosen by skip=, error= and experimental=, not {part:?}")),
            }
        }
        Ok(chosen)
    }

    pub fn has(&self, rule: Rule) -> bool {
        !self.skip.has(rule) && (!rule.is_experimental() || self.experimental.has(rule))
    }
}

impl Names {
    fn read(text: &str) -> Result<Self, String> {
        let mut names = Self::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if name.eq_ignore_ascii_case("all") {
                names.all = true;
                continue;
            }
            let known = Rule::ALL.iter().find(|rule| rule.to_string().eq_ignore_ascii_case(name));
            let Some(rule) = known else {
                let all = Rule::ALL.map(|rule| rule.to_string());
                let near = near::nearest(name, all.iter().map(String::as_str));
                let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
                return Err(format!("there is no check named {name}{hint}"));
            };
            names.rules.insert(*rule);
        }
        Ok(names)
    }

    fn has(&self, rule: Rule) -> bool {
        self.all || self.rules.contains(&rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_the_reference() {
        let chosen = Chosen::read("skip=JSONArgsRecommended, stagenamecasing;error=true").unwrap();
        assert!(chosen.is_error && !chosen.has(Rule::JSONArgsRecommended) && !chosen.has(Rule::StageNameCasing));
        assert!(chosen.has(Rule::UndefinedVar) && !chosen.has(Rule::InvalidDefinitionDescription));
        assert!(!Chosen::read("skip=all").unwrap().has(Rule::UndefinedVar));
        assert!(Chosen::read("experimental=all").unwrap().has(Rule::InvalidDefinitionDescription));
        assert!(Chosen::read("skip=UndefinedVr").unwrap_err().contains("did you mean UndefinedVar?"));
        assert!(Chosen::read("error=yes").is_err() && Chosen::read("skp=all").is_err());
    }
}

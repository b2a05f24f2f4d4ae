use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The version of the schema of samples.csv; changes when a column does.
pub const SCHEMA: u32 = 1;

/// What kind of quantity a value is, which decides how it may be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Noisy: wall-clock or CPU time, and what the rest of the machine has a part in, such as its free memory.
    Time,
    /// Counted exactly.
    Counter,
    /// Derived from counters: a slope, a ratio.
    Shape,
}

/// The unit of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// A number of things.
    #[serde(rename = "count")]
    Count,
    /// A quotient without unit.
    #[serde(rename = "ratio")]
    Ratio,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Time => "time",
            Self::Counter => "counter",
            Self::Shape => "shape",
        })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Ratio => "ratio",
        })
    }
}

/// The parameters of a measurement: `k=v;k=v`, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Sets one; what separates parameters (`;`, and `=` in a name) becomes a space.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        let value = value.to_string().replace([';', '\n', '\r'], " ");
        self.0.insert(name.replace([';', '=', '\n', '\r'], " "), value);
    }

    /// The same with one more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.set(name, value);
        self
    }

    /// The same without one.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    /// One parameter's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(";")?;
            }
            write!(f, "{name}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for Params {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut params = Self::default();
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is not NAME=VALUE"))?;
            params.set(name, value);
        }
        Ok(params)
    }
}

impl Serialize for Params {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One measurement: one row of samples.csv.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The run it belongs to.
    pub run: String,
    /// Driver; of a peer engine `engine/driver`, kernel by kernel `driver@release`.
    pub driver: String,
    /// Workload.
    pub workload: String,
    /// Parameters of this cell.
    pub params: Params,
    /// From 1.
    pub round: u32,
    /// Part of the workload, such as `run`.
    pub phase: String,
    /// What was measured, such as `wall`.
    pub metric: String,
    /// In `unit`.
    pub value: f64,
    /// Of `value`.
    pub unit: Unit,
    /// What kind of quantity it is.
    pub kind: Kind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_sorted_and_read_back() {
        let params = Params::default().with("step", "03").with("files", 2000).with("odd", "a;b=c");
        assert_eq!(params.to_string(), "files=2000;odd=a b=c;step=03");
        assert_eq!(params.to_string().parse::<Params>().unwrap(), params);
        assert_eq!("".parse::<Params>().unwrap(), Params::default());
        assert!("x".parse::<Params>().is_err());
    }
}

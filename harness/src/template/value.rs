//! What a template works on.

use std::{collections::BTreeMap, fmt, rc::Rc};

use serde_json::Value as Json;

/// A value; copies are cheap.
#[derive(Debug, Clone)]
pub enum Value {
    /// What a map does not have.
    Missing,
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Rc<str>),
    List(Rc<Vec<Value>>),
    /// What has its fields, and no others.
    Struct(Rc<BTreeMap<String, Value>>),
    /// What may have any keys.
    Map(Rc<BTreeMap<String, Value>>),
    /// What is called with a name, as docker's `.Label "NAME"`.
    Method(Methods),
}

/// What docker's lists have besides fields.
#[derive(Debug, Clone)]
pub enum Methods {
    /// The value of a label.
    Label(Rc<BTreeMap<String, String>>),
    /// The header of a column of labels: the last part of its name.
    LabelHeader,
}

/// The fields of docker's answers that are maps of Go's: what one of them does not have is no mistake of the template's.
const MAPS: [&str; 13] = [
    "Annotations",
    "Data",
    "Details",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Runtimes",
    "Sysctls",
    "Volumes",
];

impl Value {
    /// The JSON of a whole answer.
    pub fn of(json: &Json) -> Self {
        Self::within(json, &[])
    }

    fn within(json: &Json, path: &[&str]) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(is) => Self::Bool(*is),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Int(number.into()),
                (_, Some(number)) => Self::Int(number.into()),
                _ => Self::Float(number.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Self::Text(text.as_str().into()),
            Json::Array(all) => Self::List(Rc::new(all.iter().map(|one| Self::within(one, &[])).collect())),
            Json::Object(fields) => {
                let inner = |name: &String, value: &Json| {
                    let parent = path.last().copied().unwrap_or_default();
                    (name.clone(), Self::within(value, &[parent, name]))
                };
                let fields = Rc::new(fields.iter().map(|(name, value)| inner(name, value)).collect());
                match path {
                    [_, name] if MAPS.contains(name) => Self::Map(fields),
                    ["LogConfig", "Config"] => Self::Map(fields),
                    _ => Self::Struct(fields),
                }
            }
        }
    }

    /// The same with one more field.
    pub fn with(self, name: &str, value: Self) -> Self {
        match self {
            Self::Struct(mut fields) => {
                Rc::make_mut(&mut fields).insert(name.to_owned(), value);
                Self::Struct(fields)
            }
            other => other,
        }
    }

    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub(super) fn int(number: usize) -> Self {
        Self::Int(number as i128)
    }

    /// Whether `if` takes it: what is empty or zero is false.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Missing | Self::Nil => false,
            Self::Bool(is) => *is,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(all) => !all.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
            Self::Struct(_) | Self::Method(_) => true,
        }
    }

    /// What it is, for messages.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "no value",
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "a list",
            Self::Struct(_) => "a struct",
            Self::Map(_) => "a map",
            Self::Method(_) => "a method",
        }
    }

    /// As docker's `json`.
    pub(super) fn to_json(&self) -> Json {
        let object = |fields: &BTreeMap<String, Self>| {
            let shown = fields.iter().filter(|(_, value)| !matches!(value, Self::Method(_)));
            Json::Object(shown.map(|(name, value)| (name.clone(), value.to_json())).collect())
        };
        match self {
            Self::Missing | Self::Nil | Self::Method(_) => Json::Null,
            Self::Bool(is) => (*is).into(),
            Self::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) => number.into(),
                _ => (*number as f64).into(),
            },
            Self::Float(number) => (*number).into(),
            Self::Text(text) => Json::String(text.to_string()),
            Self::List(all) => all.iter().map(Self::to_json).collect(),
            Self::Struct(fields) | Self::Map(fields) => object(fields),
        }
    }
}

/// As Go's `%v`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("<no value>"),
            Self::Nil | Self::Method(_) => f.write_str("<nil>"),
            Self::Bool(is) => write!(f, "{is}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::List(all) => {
                f.write_str("[")?;
                for (at, one) in all.iter().enumerate() {
                    write!(f, "{}{one}", if at == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
            Self::Struct(fields) => {
                f.write_str("{")?;
                for (at, one) in fields.values().enumerate() {
                    write!(f, "{}{one}", if at == 0 { "" } else { " " })?;
                }
                f.write_str("}")
            }
            Self::Map(entries) => {
                f.write_str("map[")?;
                for (at, (key, one)) in entries.iter().enumerate() {
                    write!(f, "{}{key}:{one}", if at == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
        }
    }
}

impl Methods {
    pub(super) fn call(&self, name: &str) -> Value {
        match self {
            Self::Label(labels) => Value::text(labels.get(name).map_or("", String::as_str)),
            Self::LabelHeader => Value::text(name.rsplit('.').next().unwrap_or_default().replace(['-', '_'], " ")),
        }
    }
}

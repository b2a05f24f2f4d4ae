//! `--format`, docker's: `table`, `json`, or a template, with headers if `table` stands before it.

use serde_json::Value as Json;

use super::print;
use crate::{
    failure::{Failure, Result},
    say, table,
    template::{Methods, Template, Value},
};

/// How a list is printed.
#[derive(Debug)]
pub struct List<'a> {
    /// What `--format` says.
    pub format: &'a str,
    /// The columns of `table`.
    pub table: &'static str,
    /// Fields, and the headers of their columns.
    pub headers: &'static [(&'static str, &'static str)],
}

impl List<'_> {
    /// The text for these things.
    pub fn text(&self, rows: &[Value]) -> Result<String> {
        let format = self.format.trim();
        if format == "json" {
            let template = read("{{json .}}")?;
            return rows.iter().map(|row| fill(format, &template, row)).collect();
        }
        match format.strip_prefix("table").map(str::trim_start) {
            Some("") => self.columns(self.table, rows),
            Some(template) => self.columns(template, rows),
            None => {
                let template = read(format)?.map_text(&unescaped);
                rows.iter().map(|row| fill(format, &template, row)).collect()
            }
        }
    }

    fn columns(&self, format: &str, rows: &[Value]) -> Result<String> {
        let template = read(format)?.map_text(&unescaped);
        let cells = |line: String| line.trim_end_matches('\n').split('\t').map(str::to_owned).collect::<Vec<_>>();
        let header = cells(fill(format, &template, &self.header())?);
        let rows = rows.iter().map(|row| Ok(cells(fill(format, &template, row)?))).collect::<Result<Vec<_>>>()?;
        Ok(table::columns(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows))
    }

    fn header(&self) -> Value {
        let json: serde_json::Map<_, _> =
            self.headers.iter().map(|(field, header)| ((*field).to_owned(), Json::from(*header))).collect();
        Value::of(&Json::Object(json)).with("Label", Value::Method(Methods::LabelHeader))
    }
}

/// Prints what `find` finds of each name: an array, or the template filled in with each. What is missing keeps nothing else
/// from being shown, as docker has it.
pub fn show(format: Option<&str>, names: &[String], mut find: impl FnMut(&str) -> Result<Json>) -> Result {
    let mut failed = None;
    let mut found = Vec::new();
    for name in names {
        match find(name) {
            Ok(one) => found.push(one),
            Err(failure) => {
                // The last one is said by who called this.
                if let Some(earlier) = failed.replace(failure) {
                    say(&Failure::to_string(&earlier));
                }
            }
        }
    }
    print(&inspected(format, &found)?)?;
    failed.map_or(Ok(()), Err)
}

/// The text for one thing: the template filled in, or JSON on a line.
pub fn filled(format: &str, value: &Json) -> Result<String> {
    let format = if format == "json" { "{{json .}}" } else { format };
    fill(format, &read(format)?, &Value::of(value))
}

/// The text for things of which all is told: the template filled in with each, or an array.
fn inspected(format: Option<&str>, found: &[Json]) -> Result<String> {
    match format {
        None => Ok(serde_json::to_string_pretty(found)? + "\n"),
        Some("json") => Ok(serde_json::to_string(found)? + "\n"),
        Some(format) => {
            let template = read(format)?;
            found.iter().map(|one| fill(format, &template, &Value::of(one))).collect()
        }
    }
}

/// Labels as lists have them: one text, and `.Label "NAME"`.
pub fn with_labels<'a>(row: &Json, labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Value {
    let labels = labels.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    Value::of(row).with("Label", Value::Method(Methods::Label(std::rc::Rc::new(labels))))
}

/// As `--format '{{.Labels}}'` of lists prints them.
pub fn labels<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    labels.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

fn read(format: &str) -> Result<Template> {
    Template::parse(format).map_err(|error| wrong(format, &error))
}

fn fill(format: &str, template: &Template, value: &Value) -> Result<String> {
    Ok(template.fill(value).map_err(|error| wrong(format, &error))? + "\n")
}

fn wrong(format: &str, error: &crate::template::Error) -> Failure {
    Failure::usage(format!("--format {format:?}: {error}"))
}

fn unescaped(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn text(format: &str) -> Result<String> {
        let table = r"{{.ID}}\t{{.Names}}";
        let headers = &[("ID", "CONTAINER ID"), ("Names", "NAMES"), ("State", "STATE")];
        let labels = BTreeMap::from([("a.team_name".to_owned(), "ops".to_owned())]);
        let row = |id: &str, name: &str| with_labels(&json!({"ID": id, "Names": name, "State": "created"}), &labels);
        List { format, table, headers }.text(&[row("1", "web"), row("2", "a-database")])
    }

    #[test]
    fn lists_are_tables_objects_or_lines() {
        let cases = [
            ("table", "CONTAINER ID   NAMES\n1              web\n2              a-database\n"),
            (r"table {{.Names}}\t{{upper .State}}", "NAMES        STATE\nweb          CREATED\na-database   CREATED\n"),
            (
                r#"table {{.ID}}\t{{.Label "a.team_name"}}"#,
                "CONTAINER ID   team name\n1              ops\n2              ops\n",
            ),
            (r"{{.ID}}\t{{.Names}}", "1\tweb\n2\ta-database\n"),
            (r#"{{.Label "a.team_name"}}{{.Label "none"}}"#, "ops\nops\n"),
            ("plain", "plain\nplain\n"),
        ];
        for (format, expected) in cases {
            assert_eq!(text(format).unwrap(), expected, "{format}");
        }
        let first = text("json").unwrap().lines().next().map(str::to_owned).unwrap();
        assert_eq!(first, r#"{"ID":"1","Names":"web","State":"created"}"#);
        let error = text("{{.Nmes}}").unwrap_err().to_string();
        assert!(error.contains("no field Nmes") && error.contains("did you mean Names"), "{error}");
        assert!(text("table {{.Nmes}}").is_err() && text("{{.ID").is_err() && text("{{.Label}}{{.Label 1}}").is_err());
    }

    #[test]
    fn what_is_inspected_is_an_array_or_a_line_each() {
        let found = [json!({"Id": "1", "State": {"Health": null}})];
        assert_eq!(inspected(Some("json"), &found).unwrap(), "[{\"Id\":\"1\",\"State\":{\"Health\":null}}]\n");
        assert!(inspected(None, &found).unwrap().starts_with("[\n  {\n"));
        assert_eq!(inspected(Some(r"{{.Id}}\t{{.State.Health}}"), &found).unwrap(), "1\\t<nil>\n");
        assert!(inspected(Some("{{.State.Health.Status}}"), &found).is_err());
    }
}

//! `--format`, as far as people use it: docker's templates with fields and `json`.

use serde_json::Value;

use crate::failure::{Failure, Result};

/// Fills a template in, such as `{{.Names}}: {{json .State}}`, with the fields of a JSON object.
pub fn template(template: &str, value: &Value) -> Result<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(start) = rest.find("{{") {
        out.push_str(&unescaped(&rest[..start]));
        let after = &rest[start + 2..];
        let end = after.find("}}").ok_or_else(|| wrong(template, "{{ without }}"))?;
        out.push_str(&action(template, after[..end].trim(), value)?);
        rest = &after[end + 2..];
    }
    out.push_str(&unescaped(rest));
    Ok(out)
}

fn wrong(template: &str, why: &str) -> Failure {
    Failure::usage(format!(
        "--format {template:?}: {why}; it takes {{{{.Field}}}}, {{{{.Field.Field}}}} and {{{{json .Field}}}}"
    ))
}

fn action(whole: &str, action: &str, value: &Value) -> Result<String> {
    let (as_json, path) = match action.strip_prefix("json ") {
        Some(path) => (true, path.trim()),
        None => (false, action),
    };
    let found = field(whole, path, value)?;
    Ok(match found {
        found if as_json => found.to_string(),
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    })
}

fn field<'a>(whole: &str, path: &str, value: &'a Value) -> Result<&'a Value> {
    let names = path.strip_prefix('.').ok_or_else(|| wrong(whole, &format!("{path:?} is not understood")))?;
    let mut found = value;
    for name in names.split('.').filter(|name| !name.is_empty()) {
        found = found.get(name).ok_or_else(|| wrong(whole, &format!("there is no field {name}")))?;
    }
    Ok(found)
}

fn unescaped(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_filled_in() {
        let value = json!({"Name": "web", "State": {"Pid": 7, "Health": null}});
        let cases = [
            ("{{.Name}}\\t{{.State.Pid}}", "web\t7"),
            ("{{json .State}}", "{\"Health\":null,\"Pid\":7}"),
            ("{{ .State.Health }}!", "<nil>!"),
            ("plain", "plain"),
        ];
        for (text, expected) in cases {
            assert_eq!(template(text, &value).unwrap(), expected, "{text}");
        }
        for text in ["{{.Nme}}", "{{.Name", "{{range .Name}}", "{{.Name.First}}"] {
            assert!(template(text, &value).is_err(), "{text}");
        }
    }
}

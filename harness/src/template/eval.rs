//! Filling a template in.

use super::{
    Error, Result, Value, functions,
    parser::{self, Branch, Command, Head, Node, Pipeline, Term},
};
use crate::nearest;

/// The longest text that is made, above which a template is a mistake.
pub(super) const LONGEST: usize = 16 << 20;

/// A template that was read.
#[derive(Debug)]
pub struct Template(Vec<Node>);

impl Template {
    /// Reads one.
    ///
    /// # Errors
    /// What cannot be read is named.
    pub fn parse(template: &str) -> Result<Self> {
        parser::parse(template).map(Self)
    }

    /// Every text between actions, changed.
    #[must_use]
    pub fn map_text(mut self, change: &dyn Fn(&str) -> String) -> Self {
        fn each(nodes: &mut [Node], change: &dyn Fn(&str) -> String) {
            for node in nodes {
                match node {
                    Node::Text(text) => *text = change(text),
                    Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                        each(&mut branch.body, change);
                        each(&mut branch.otherwise, change);
                    }
                    Node::Print(_) | Node::Break | Node::Continue => {}
                }
            }
        }
        each(&mut self.0, change);
        self
    }

    /// Fills it in.
    ///
    /// # Errors
    /// A field that is not there is named, and what a function does not take.
    pub fn fill(&self, data: &Value) -> Result<String> {
        let mut evaluation = Evaluation { out: String::new(), variables: vec![(String::new(), data.clone())] };
        evaluation.block(&self.0, data)?;
        Ok(evaluation.out)
    }
}

struct Evaluation {
    out: String,
    variables: Vec<(String, Value)>,
}

/// How a block ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Evaluation {
    fn block(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow> {
        let known = self.variables.len();
        for node in nodes {
            let flow = match node {
                Node::Text(text) => self.write(text)?,
                Node::Print(pipeline) => self.print(pipeline, dot)?,
                Node::If(branch) => self.scope(|own| {
                    let value = own.assigned(&branch.pipeline, dot)?;
                    own.block(branch.taken(&value), dot)
                })?,
                Node::With(branch) => self.scope(|own| {
                    let value = own.assigned(&branch.pipeline, dot)?;
                    own.block(branch.taken(&value), if value.is_true() { &value } else { dot })
                })?,
                Node::Range(branch) => self.scope(|own| own.range(branch, dot))?,
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::On {
                self.variables.truncate(known);
                return Ok(flow);
            }
        }
        self.variables.truncate(known);
        Ok(Flow::On)
    }

    /// Variables that begin in it end with it.
    fn scope<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let known = self.variables.len();
        let done = work(self);
        self.variables.truncate(known);
        done
    }

    fn write(&mut self, text: &str) -> Result<Flow> {
        if self.out.len() + text.len() > LONGEST {
            return Err(Error::new(format!("it makes more than {LONGEST} bytes")));
        }
        self.out.push_str(text);
        Ok(Flow::On)
    }

    fn print(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Flow> {
        let value = self.assigned(pipeline, dot)?;
        match value {
            _ if !pipeline.variables.is_empty() => Ok(Flow::On),
            Value::Text(text) => self.write(&text),
            other => self.write(&other.to_string()),
        }
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<Flow> {
        let value = self.value(&branch.pipeline, dot)?;
        let turns: Box<dyn Iterator<Item = (Value, Value)>> = match &value {
            Value::List(all) => Box::new(all.iter().enumerate().map(|(at, one)| (Value::int(at), one.clone()))),
            Value::Map(entries) => Box::new(entries.iter().map(|(key, one)| (Value::text(key), one.clone()))),
            // As Go since 1.22.
            Value::Int(count) => Box::new((0..*count).map(|at| (Value::Int(at), Value::Int(at)))),
            Value::Nil | Value::Missing => Box::new(std::iter::empty()),
            other => return Err(Error::new(format!("range goes over lists and maps, not over {}", other.kind()))),
        };
        let mut any = false;
        for (key, one) in turns {
            any = true;
            let flow = self.scope(|own| {
                match branch.pipeline.variables.as_slice() {
                    [] => {}
                    [name] => own.set(&branch.pipeline, name, one.clone()),
                    [first, second, ..] => {
                        own.set(&branch.pipeline, first, key);
                        own.set(&branch.pipeline, second, one.clone());
                    }
                }
                own.block(&branch.body, &one)
            })?;
            if flow == Flow::Break {
                return Ok(Flow::On);
            }
        }
        if any { Ok(Flow::On) } else { self.block(&branch.otherwise, dot) }
    }

    /// A pipeline's value, which its variable gets.
    fn assigned(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value> {
        let value = self.value(pipeline, dot)?;
        match pipeline.variables.as_slice() {
            [] => {}
            [name] => self.set(pipeline, name, value.clone()),
            _ => return Err(Error::new("only range gives values to two variables")),
        }
        Ok(value)
    }

    fn set(&mut self, pipeline: &Pipeline, name: &str, value: Value) {
        let known = self.variables.iter_mut().rev().find(|(known, _)| !pipeline.declares && known == name);
        match known {
            Some((_, known)) => *known = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    fn value(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Value::Missing))
    }

    fn command(&mut self, Command(terms): &Command, dot: &Value, given: Option<Value>) -> Result<Value> {
        let Some((first, rest)) = terms.split_first() else { return Ok(Value::Missing) };
        match &first.head {
            Head::Function(name) if name == "and" => return self.short_circuit(true, rest, dot, given),
            Head::Function(name) if name == "or" => return self.short_circuit(false, rest, dot, given),
            _ => {}
        }
        let mut arguments = rest.iter().map(|term| self.term(term, dot)).collect::<Result<Vec<_>>>()?;
        arguments.extend(given);
        if let Head::Function(name) = &first.head {
            return functions::call(name, &arguments);
        }
        match (self.term(first, dot)?, arguments.as_slice()) {
            (Value::Method(method), [Value::Text(name)]) => Ok(method.call(name)),
            (Value::Method(_), _) => {
                Err(Error::new(format!("{} takes one name in quotes", first.name(first.fields.len()))))
            }
            (value, []) => Ok(value),
            _ => Err(Error::new(format!("{} is no function and takes no arguments", first.name(first.fields.len())))),
        }
    }

    /// What `and` and `or` do not need they do not look at.
    fn short_circuit(&mut self, all: bool, terms: &[Term], dot: &Value, given: Option<Value>) -> Result<Value> {
        let mut last = None;
        for term in terms {
            let value = self.term(term, dot)?;
            if value.is_true() != all {
                return Ok(value);
            }
            last = Some(value);
        }
        given.or(last).ok_or_else(|| Error::new(format!("{} needs arguments", if all { "and" } else { "or" })))
    }

    fn term(&mut self, term: &Term, dot: &Value) -> Result<Value> {
        let mut value = match &term.head {
            Head::Dot => dot.clone(),
            Head::Constant(value) => value.clone(),
            Head::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                known.map_or(Value::Missing, |(_, value)| value.clone())
            }
            Head::Function(name) => functions::call(name, &[])?,
            Head::Pipeline(pipeline) => self.value(pipeline, dot)?,
        };
        for (at, name) in term.fields.iter().enumerate() {
            value = field(&value, name, || term.name(at))?;
        }
        Ok(value)
    }
}

impl Branch {
    fn taken(&self, value: &Value) -> &[Node] {
        if value.is_true() { &self.body } else { &self.otherwise }
    }
}

impl Term {
    /// As it is written, with so many of its fields.
    fn name(&self, fields: usize) -> String {
        let head = match &self.head {
            Head::Dot if fields == 0 => ".".to_owned(),
            Head::Dot => String::new(),
            Head::Constant(value) => value.to_string(),
            Head::Variable(name) => format!("${name}"),
            Head::Function(name) => name.clone(),
            Head::Pipeline(_) => "(...)".to_owned(),
        };
        self.fields[..fields].iter().fold(head, |text, field| format!("{text}.{field}"))
    }
}

fn field(value: &Value, name: &str, of: impl Fn() -> String) -> Result<Value> {
    match value {
        Value::Struct(fields) => fields.get(name).cloned().ok_or_else(|| {
            let known = fields.keys().map(String::as_str);
            let instead = match nearest::nearest(name, known.clone()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
            };
            Error::new(format!("{} has no field {name}; {instead}", of()))
        }),
        Value::Map(entries) => Ok(entries.get(name).cloned().unwrap_or(Value::Missing)),
        Value::Missing => Ok(Value::Missing),
        other => Err(Error::new(format!("{} is {} and has no field {name}", of(), other.kind()))),
    }
}

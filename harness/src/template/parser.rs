//! What a template says.

use super::{
    Error, Result, Value, functions,
    lexer::{self, Token, What},
};

/// How deep actions and parentheses may be within one another.
const DEEPEST: usize = 64;

#[derive(Debug)]
pub enum Node {
    Text(String),
    /// What is printed, unless it is given to variables.
    Print(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
}

/// `{{if PIPELINE}}BODY{{else}}OTHERWISE{{end}}`, and what is built like it.
#[derive(Debug)]
pub struct Branch {
    pub pipeline: Pipeline,
    pub body: Vec<Node>,
    pub otherwise: Vec<Node>,
}

/// Commands that are each given the last one's value.
#[derive(Debug)]
pub struct Pipeline {
    pub variables: Vec<String>,
    /// Whether the variables begin here, `:=`.
    pub declares: bool,
    pub commands: Vec<Command>,
}

/// A value, or a function with its arguments.
#[derive(Debug)]
pub struct Command(pub Vec<Term>);

#[derive(Debug)]
pub struct Term {
    pub head: Head,
    pub fields: Vec<String>,
}

#[derive(Debug)]
pub enum Head {
    Dot,
    Constant(Value),
    Variable(String),
    Function(String),
    Pipeline(Box<Pipeline>),
}

/// Reads a whole template.
pub fn parse(template: &str) -> Result<Vec<Node>> {
    let mut parser =
        Parser { tokens: lexer::tokens(template)?, at: 0, variables: vec![String::new()], depth: 0, loops: 0 };
    let (nodes, end) = parser.block()?;
    match end {
        End::OfTemplate => Ok(nodes),
        End::OfBlock => Err(Error::new("{{end}} ends nothing")),
        End::Else => Err(Error::new("{{else}} belongs to nothing")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// Those that are known at this place; `$` always is.
    variables: Vec<String>,
    depth: usize,
    /// How many `range`s this is in.
    loops: usize,
}

/// What a block ended with; of `{{else` what follows is left to be read.
#[derive(PartialEq)]
enum End {
    OfTemplate,
    OfBlock,
    Else,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        self.next_if(|_| true)
    }

    fn next_if(&mut self, is_wanted: impl Fn(&Token) -> bool) -> Option<Token> {
        let token = self.tokens.get(self.at).filter(|token| is_wanted(token))?.clone();
        self.at += 1;
        Some(token)
    }

    fn block(&mut self) -> Result<(Vec<Node>, End)> {
        let mut nodes = Vec::new();
        while let Some(token) = self.next() {
            match token.what {
                What::Text(text) => nodes.push(Node::Text(text)),
                _ => match self.keyword() {
                    Some(word) => match word.as_str() {
                        "end" => return self.close().map(|()| (nodes, End::OfBlock)),
                        "else" => return Ok((nodes, End::Else)),
                        _ => nodes.push(self.control(&word)?),
                    },
                    None => {
                        nodes.push(Node::Print(self.pipeline()?));
                        self.close()?;
                    }
                },
            }
        }
        Ok((nodes, End::OfTemplate))
    }

    fn keyword(&mut self) -> Option<String> {
        const ALL: [&str; 10] =
            ["if", "else", "end", "range", "with", "break", "continue", "define", "template", "block"];
        let token = self.next_if(|token| matches!(&token.what, What::Name(name) if ALL.contains(&&**name)));
        token.and_then(|token| if let What::Name(name) = token.what { Some(name) } else { None })
    }

    fn control(&mut self, word: &str) -> Result<Node> {
        match word {
            "if" => self.branch(word).map(Node::If),
            "with" => self.branch(word).map(Node::With),
            "range" => self.branch(word).map(Node::Range),
            "break" | "continue" if self.loops == 0 => Err(Error::new(format!("{{{{{word}}}}} is in no range"))),
            "break" => self.close().map(|()| Node::Break),
            "continue" => self.close().map(|()| Node::Continue),
            other => Err(Error::new(format!("{{{{{other}}}}} is not taken: this is one template"))),
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEEPEST {
            return Err(Error::new(format!("it goes deeper than {DEEPEST} times into itself")));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn branch(&mut self, word: &str) -> Result<Branch> {
        self.deeper(|parser| {
            let known = parser.variables.len();
            let is_loop = usize::from(word == "range");
            let pipeline = parser.pipeline()?;
            if pipeline.variables.len() > 1 && word != "range" {
                return Err(Error::new(format!("{{{{{word}}}}} takes one variable")));
            }
            parser.close()?;
            parser.loops += is_loop;
            let (body, end) = parser.block()?;
            parser.loops -= is_loop;
            let otherwise = match end {
                End::Else => parser.otherwise(word)?,
                End::OfBlock => Vec::new(),
                End::OfTemplate => return Err(Error::new(format!("{{{{{word}}}}} has no {{{{end}}}}"))),
            };
            parser.variables.truncate(known);
            Ok(Branch { pipeline, body, otherwise })
        })
    }

    /// What follows `{{else`: `}}`, or `if` or `with` whose end is that of the whole.
    fn otherwise(&mut self, word: &str) -> Result<Vec<Node>> {
        match self.keyword() {
            Some(next) if next == word && word != "range" => Ok(vec![self.control(word)?]),
            Some(next) => Err(Error::new(format!("{{{{else {next}}}}} does not follow {{{{{word}}}}}"))),
            None => {
                self.close()?;
                match self.block()? {
                    (nodes, End::OfBlock) => Ok(nodes),
                    (_, End::Else) => Err(Error::new(format!("{{{{{word}}}}} has a second {{{{else}}}}"))),
                    (_, End::OfTemplate) => Err(Error::new(format!("{{{{{word}}}}} has no {{{{end}}}}"))),
                }
            }
        }
    }

    fn close(&mut self) -> Result<()> {
        match self.next() {
            Some(Token { what: What::Close, .. }) => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline> {
        self.deeper(|parser| {
            let (variables, declares) = parser.assigned()?;
            let mut commands = vec![parser.command()?];
            while parser.next_if(|token| token.what == What::Pipe).is_some() {
                let next = parser.command()?;
                if let Some(Term { head: Head::Constant(value), .. }) = next.0.first() {
                    return Err(Error::new(format!("{value} takes nothing from a |")));
                }
                commands.push(next);
            }
            if declares {
                parser.variables.extend(variables.iter().cloned());
            }
            Ok(Pipeline { variables, declares, commands })
        })
    }

    /// `$a :=`, `$a, $b :=` or `$a =`. What looks like it first may be a value after all.
    fn assigned(&mut self) -> Result<(Vec<String>, bool)> {
        let mut names = Vec::new();
        let mut ahead = self.tokens[self.at..].chunks_exact(2);
        loop {
            match ahead.next().map(|pair| (&pair[0].what, &pair[1].what)) {
                Some((What::Variable(name), What::Comma)) if names.is_empty() => names.push(name.clone()),
                Some((What::Variable(name), end @ (What::Assign | What::Declare))) => {
                    names.push(name.clone());
                    let declares = *end == What::Declare;
                    self.at += 2 * names.len();
                    if let Some(unknown) = names.iter().find(|name| !declares && !self.variables.contains(name)) {
                        return Err(Error::new(format!("there is no variable ${unknown}")));
                    }
                    return Ok((names, declares));
                }
                _ => return Ok((Vec::new(), false)),
            }
        }
    }

    fn command(&mut self) -> Result<Command> {
        let mut terms: Vec<Term> = Vec::new();
        while let Some(token) = self.next_if(|token| !matches!(token.what, What::Close | What::Pipe | What::RightParen))
        {
            match (token.what, terms.last_mut()) {
                (What::Field(name), Some(last)) if token.glued => last.take(name)?,
                (what, Some(_)) if token.glued => return Err(unexpected(Some(Token { what, glued: true }))),
                (what, _) => terms.push(self.term(what)?),
            }
        }
        match terms.first() {
            None => Err(Error::new("an action, or what stands beside a |, is empty")),
            Some(Term { head: Head::Constant(value), .. }) if terms.len() > 1 => {
                Err(Error::new(format!("{value} is no function and takes no arguments")))
            }
            Some(_) => Ok(Command(terms)),
        }
    }

    fn term(&mut self, what: What) -> Result<Term> {
        let mut fields = Vec::new();
        let head = match what {
            What::Dot => Head::Dot,
            What::Field(name) => {
                fields.push(name);
                Head::Dot
            }
            What::Constant(text) => Head::Constant(Value::text(text)),
            What::Int(number) => Head::Constant(Value::Int(number)),
            What::Float(number) => Head::Constant(Value::Float(number)),
            What::Variable(name) if self.variables.contains(&name) => Head::Variable(name),
            What::Variable(name) => return Err(Error::new(format!("there is no variable ${name}"))),
            What::LeftParen => {
                let pipeline = self.pipeline()?;
                match self.next() {
                    Some(Token { what: What::RightParen, .. }) => Head::Pipeline(Box::new(pipeline)),
                    _ => return Err(Error::new("a ( has no )")),
                }
            }
            What::Name(name) => match name.as_str() {
                "true" | "false" => Head::Constant(Value::Bool(name == "true")),
                "nil" => Head::Constant(Value::Nil),
                _ => {
                    functions::check(&name)?;
                    Head::Function(name)
                }
            },
            other => return Err(unexpected(Some(Token { what: other, glued: false }))),
        };
        Ok(Term { head, fields })
    }
}

impl Term {
    fn take(&mut self, field: String) -> Result<()> {
        if matches!(self.head, Head::Constant(_) | Head::Function(_)) {
            return Err(Error::new(format!(".{field} follows what has no fields; write a space or parentheses")));
        }
        self.fields.push(field);
        Ok(())
    }
}

fn unexpected(token: Option<Token>) -> Error {
    Error::new(match token.map(|token| token.what) {
        None => "it ends too early".to_owned(),
        Some(What::Close) => "an action is empty".to_owned(),
        Some(What::Name(name)) => format!("{name} is not expected here"),
        Some(What::Field(name)) => format!(".{name} is not expected here"),
        Some(What::Variable(name)) => format!("${name} is not expected here"),
        Some(What::Constant(text)) => format!("{text:?} is not expected here"),
        Some(What::Int(number)) => format!("{number} is not expected here"),
        Some(What::Float(number)) => format!("{number} is not expected here"),
        Some(What::Pipe) => "| is not expected here".to_owned(),
        Some(What::Assign) => "= is not expected here".to_owned(),
        Some(What::Declare) => ":= is not expected here".to_owned(),
        Some(What::Comma) => "a comma is not expected here".to_owned(),
        Some(What::LeftParen) => "( is not expected here".to_owned(),
        Some(What::RightParen) => ") is not expected here".to_owned(),
        Some(What::Dot) => ". is not expected here".to_owned(),
        Some(What::Text(_) | What::Open) => "}} is missing".to_owned(),
    })
}

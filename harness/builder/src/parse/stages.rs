use super::{Keyword, Statement, instruction, lines::Logical, words};
use crate::{
    Diagnostic,
    dockerfile::{Directives, Dockerfile, Stage, Word},
    source::{Source, Span},
};

/// Puts instructions below their `FROM`.
pub(super) fn group(
    source: &Source,
    directives: Directives,
    statements: Vec<(Statement, Logical)>,
) -> Result<Dockerfile, Diagnostic> {
    let mut global_args = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for (statement, line) in statements {
        if statement.keyword == Keyword::From {
            let stage = from(source, statement, &line)?;
            stages.push(stage);
            continue;
        }
        match stages.last_mut() {
            Some(stage) => stage.instructions.push(instruction(source, statement, &line)?),
            None if statement.keyword == Keyword::Arg => global_args.push(instruction(source, statement, &line)?),
            None => {
                let message = format!("{} before the first FROM", statement.keyword.name());
                return Err(source.error(statement.keyword_span, message).hint("only ARG can stand there"));
            }
        }
    }
    if stages.is_empty() {
        let end = source.text().len();
        let message = if global_args.is_empty() { "the Dockerfile is empty" } else { "there is no FROM" };
        let hint = "a Dockerfile begins with FROM and the name of a base image, or FROM scratch";
        return Err(source.error(Span::new(end, end), message).hint(hint));
    }
    Ok(Dockerfile { source: source.clone(), directives, global_args, stages, empty_continuations: Vec::new() })
}

fn from(source: &Source, statement: Statement, line: &Logical) -> Result<Stage, Diagnostic> {
    let text = statement.text(line);
    let word = |piece: &words::Piece| Word { text: piece.text.clone(), span: line.span(piece.range.clone()) };
    let found = words::at_spaces(&line.text, statement.arguments);
    let Statement { span, keyword_span, flags, .. } = statement;
    let (base, name) = match found.as_slice() {
        [base] => (word(base), None),
        [base, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => {
            (word(base), Some(stage_name(source, word(name))?))
        }
        [] => return Err(source.error(keyword_span, "FROM needs the name of an image, or scratch")),
        [_, second, ..] => {
            let span = line.span(second.range.clone());
            return Err(source.error(span, "FROM takes IMAGE or IMAGE AS NAME"));
        }
    };
    Ok(Stage { span, text, base, name, flags, instructions: Vec::new() })
}

fn stage_name(source: &Source, name: Word) -> Result<Word, Diagnostic> {
    let text = name.text.to_ascii_lowercase();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.chars().all(allowed) {
        let hint = "letters, digits, '-', '_' and '.', the first a letter";
        return Err(source.error(name.span, format!("{} cannot be the name of a stage", name.text)).hint(hint));
    }
    Ok(Word { text, span: name.span })
}

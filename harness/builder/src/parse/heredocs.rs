//! `<<EOF`, by the rules of BuildKit: any word of the line of this form starts one, several follow each other.

use super::lines::{Lines, Logical};
use crate::{
    Diagnostic,
    dockerfile::{CommandForm, Heredoc, Instruction, Kind},
    expand::{Nothing, Reading},
    source::{Source, Span},
};

const RAW: Reading = Reading { raw_quotes: true, raw_escapes: true, keep_unset: true, ..Reading::new('\\') };
const PLAIN: Reading = Reading { keep_unset: true, ..Reading::new('\\') };

/// Reads the heredocs that a line announces; their lines follow it.
pub(super) fn read(source: &Source, line: &Logical, lines: &mut Lines<'_>) -> Result<Vec<Heredoc>, Diagnostic> {
    let Ok(words) = RAW.words(&line.text, &Nothing) else { return Ok(Vec::new()) };
    let announced = words.iter().filter_map(|word| Some((word, announcement(word)?)));
    announced.map(|(word, heredoc)| content(source, line, word, heredoc, lines)).collect()
}

fn content(
    source: &Source,
    line: &Logical,
    word: &str,
    mut heredoc: Heredoc,
    lines: &mut Lines<'_>,
) -> Result<Heredoc, Diagnostic> {
    while let Some(next) = lines.physical() {
        if heredoc.raw.is_empty() {
            heredoc.span = Span::new(next.start, next.start);
        }
        let end = if heredoc.chomp { next.text.trim_start_matches('\t') } else { next.text };
        if end == heredoc.name {
            return Ok(heredoc);
        }
        heredoc.raw.push_str(next.whole);
        heredoc.span.end = next.span().end;
    }
    let at = line.text.find(word).unwrap_or_default();
    let span = line.span(at..at + word.len().min(line.text.len() - at));
    Err(source.error(span, format!("nothing ends this heredoc: no line is {:?}", heredoc.name)))
}

/// Whether a word announces a heredoc: digits, `<<`, a dash for dropping tabs, and the word that ends it.
pub(super) fn announcement(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (rest, chomp) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let one = |reading: Reading| {
        let mut words = reading.words(rest, &Nothing).ok()?;
        if words.len() == 1 { words.pop() } else { None }
    };
    let (name, raw) = (one(PLAIN)?, one(RAW)?);
    let expand = name == raw;
    Some(Heredoc { name, raw: String::new(), expand, chomp, span: Span::default() })
}

/// What heredocs cannot be combined with.
pub(super) fn check(source: &Source, instruction: &Instruction) -> Result<(), Diagnostic> {
    match &instruction.kind {
        Kind::Run(command) if !instruction.heredocs.is_empty() => match &command.form {
            CommandForm::Shell(_) => Ok(()),
            CommandForm::Exec(_) => Err(source.error(command.span, "a command in JSON form cannot have a heredoc")),
        },
        Kind::Copy(transfer) | Kind::Add(transfer) if announcement(&transfer.destination.text).is_some() => {
            Err(source.error(transfer.destination.span, "a heredoc cannot be the destination"))
        }
        _ => Ok(()),
    }
}

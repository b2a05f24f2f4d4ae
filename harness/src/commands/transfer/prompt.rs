//! Questions to the person at the terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::failure::{Failure, Result};

/// A line that is seen while it is typed.
pub fn line(question: &str) -> Result<String> {
    check_terminal()?;
    eprint(question)?;
    let mut text = String::new();
    io::stdin().lock().read_line(&mut text).context("cannot read from the terminal")?;
    Ok(text.trim().to_owned())
}

/// A line that is not.
pub fn secret(question: &str) -> Result<String> {
    check_terminal()?;
    let text = {
        // Before the question: what is typed at once is not seen either.
        let _silent = Silent::terminal()?;
        eprint(question)?;
        typed(io::stdin().lock())?
    };
    // The end of the line was not seen either.
    eprint("\n")?;
    Ok(text)
}

fn check_terminal() -> Result {
    if io::stdin().is_terminal() {
        return Ok(());
    }
    let why = "standard input is no terminal, so that nobody can be asked; use --username NAME --password-stdin";
    Err(Failure::usage(why))
}

fn eprint(text: &str) -> Result {
    let mut err = io::stderr().lock();
    Ok(err.write_all(text.as_bytes()).and_then(|()| err.flush()).context("cannot write to the terminal")?)
}

/// The terminal while it shows nothing of what is typed, key by key: keys that would end the program come as bytes, so that
/// it never ends and leaves the terminal so.
struct Silent(Termios);

impl Silent {
    fn terminal() -> Result<Self> {
        let before = tcgetattr(io::stdin()).context("cannot examine the terminal")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent).context("cannot silence the terminal")?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that went away shows nothing either.
        _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// Keys up to the end of a line, with those that take others back (termios(3): INTR, EOF, ERASE, KILL).
fn typed(keys: impl BufRead) -> Result<String> {
    let mut text = Vec::new();
    for key in keys.bytes() {
        match key.context("cannot read from the terminal")? {
            b'\n' | b'\r' | 0x04 => break,
            0x03 => return Err(Failure::Status(130, Some(anyhow::anyhow!("interrupted")))),
            0x08 | 0x7f => while text.pop().is_some_and(|byte: u8| (byte & 0xc0) == 0x80) {},
            0x15 => text.clear(),
            key => text.push(key),
        }
    }
    String::from_utf8(text).map_err(|_| Failure::usage("what was typed is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_a_line() {
        let text = |keys: &str| typed(keys.as_bytes()).ok();
        for (keys, expected) in [
            ("secret\nmore", "secret"),
            ("se cret\r", "se cret"),
            ("sx\x7fecreté\x7ft\x08t\n", "secrett"),
            ("\x7f\x7fa\n", "a"),
            ("wrong\x15right\x04", "right"),
            ("", ""),
        ] {
            assert_eq!(text(keys).as_deref(), Some(expected), "{keys:?}");
        }
        assert!(matches!(typed(&b"sec\x03"[..]), Err(Failure::Status(130, _))));
    }
}

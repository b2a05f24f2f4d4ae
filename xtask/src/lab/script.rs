//! A shell script of parts, each of which is run whatever became of those before it.

use std::{ffi::OsString, path::Path};

use anyhow::{Context, Result};

/// Tells how long each part took; fails when one did.
#[derive(Debug)]
pub struct Script(String);

impl Script {
    pub fn new() -> Self {
        Self(HEAD.to_owned())
    }

    /// A part is a line of words, of which the first may be one of the functions below.
    pub fn part(&mut self, name: &str, command: &str) {
        self.0 += &format!("part '{name}' {command}\n");
    }

    /// The command that runs it.
    pub fn into_command(self) -> Vec<OsString> {
        vec!["sh".into(), "-c".into(), (self.0 + "exit $status\n").into()]
    }
}

const HEAD: &str = r#"status=0
# Each test of a network has several namespaces, and all run at once.
ulimit -n 65536
part() {
    name=$1
    shift
    echo "-- $name"
    start=$(date +%s)
    "$@" || { status=1; echo "-- $name FAILED"; }
    echo "-- $name: $(($(date +%s) - start)) s"
}
some() {
    # A filter that nothing is called by passes, too.
    "$@" --list | grep -q ': test$' || { echo "there is no such test: $*"; return 1; }
    "$@"
}
with_udev() {
    /lib/systemd/systemd-udevd --daemon || return 1
    udevadm control --ping || return 1
    "$@"
    ended=$?
    udevadm control --exit
    return $ended
}
keeps() {
    # Rows and words of one column; the others are tried natively, and amounts differ with the kernel.
    words='{ sub(/ \([0-9]+\)/, "", $column); if ($column !~ /KiB/) print $2, $column }'
    "$1" conformance --keeps --driver devicemapper >"$TMPDIR/keeps" || return 1
    grep '^| ' docs/drivers.md | grep -v '^| ---' | awk -F'|' -v column=6 "$words" >"$TMPDIR/document"
    grep '^| ' "$TMPDIR/keeps" | grep -v '^| ---' | awk -F'|' -v column=3 "$words" >"$TMPDIR/measured"
    test "$(wc -l <"$TMPDIR/measured")" -gt 20 && diff -u "$TMPDIR/document" "$TMPDIR/measured" && return 0
    echo 'docs/drivers.md says otherwise; make it again: harness lab --share docs -- conformance --keeps docs/drivers.md'
    return 1
}
migrate() {
    context=$TMPDIR/context
    mkdir -p "$context" || return 1
    printf 'FROM tiny
COPY Dockerfile /copied
' >"$context/Dockerfile"
    "$1" build -q --driver overlay2 -t moved "$context" || return 1
    "$1" migrate --from overlay2 --to devicemapper --to-opt fs=xfs || return 1
    "$1" migrate --from devicemapper --from-opt fs=xfs --to overlay2 || return 1
    "$1" history moved
}
"#;

/// A path as a word of a shell's.
pub fn word(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("'{}'", text.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(word(Path::new("/a b/it's")).unwrap(), "'/a b/it'\\''s'");
    }
}

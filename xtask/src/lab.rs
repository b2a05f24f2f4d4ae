//! What needs another kernel than this one, in a virtual machine: the tests of devicemapper, and the whole suite for all drivers.

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::AtomicBool,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use harness_lab::{Job, Kernel, Lab, Output};

/// Integration tests that run there, also those that other kernels ignore: the package, cargo's options, and what of it, all by
/// default. The guest has cgroups v2, where many hosts still have v1; its btrfs has no simple quotas.
const CRATES: [(&str, &[&str], &[&str]); 6] = [
    ("driver-devicemapper", &["--features", "lab"], &[]),
    ("driver-overlay2", &[], &[]),
    ("driver-btrfs", &[], &["quota", "limit"]),
    ("harness-builder", &[], &["privileged_corpus_changes"]),
    ("harness-network", &[], &[]),
    ("harness-runtime", &[], &["limited", "counted", "cgroup"]),
];

/// All four: what is asked for by name and cannot run is a failure.
const DRIVERS: &str = "overlay2,vfs,btrfs,devicemapper";

/// Those of the suite's trials that `conformance` does not do: another file system, and random operations, of which fewer
/// than elsewhere, since each is emulated.
const TRIALS: [&str; 2] = ["privileged_devicemapper-xfs::fidelity", "privileged_devicemapper::property"];

/// Every step of these operations of devicemapper's under these faults; all of it takes hours.
const FAULTS: [(&str, &str); 1] = [("kill,enospc", "create-on,seal,remove-sealed")];

/// The gate's seeded fault that only devicemapper can have.
const SEEDED: &str = "chunk-512k";

/// Where udev is, whose rules look at devices when they come.
const UDEV: &str = "/lib/systemd/systemd-udevd";

/// The oldest kernel that is supported, where it is installed: what newer ones have is tried natively and in the harness's own
/// tests of the lab. This one has no simple quotas on btrfs, for one.
const OLDER: &str = "6.1";

/// Longer than all of it takes when every instruction is emulated.
const TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// One boot for everything.
pub fn all(kernel: Option<&str>) -> Result<()> {
    let out = tempfile::tempdir().context("cannot make a directory")?;
    let mut script = HEAD.replace("DRIVERS", DRIVERS).replace("UDEV", UDEV);
    let mut part = |name: &str, command: &str| script += &format!("part '{name}' {command}\n");
    let harness = word(&release("harness", "harness")?)?;
    for (name, features, filters) in CRATES {
        for test in tests(name, features)? {
            let test = word(&test)?;
            for filter in if filters.is_empty() { &[""] } else { filters } {
                part(&format!("tests of {name} {filter}"), &format!("{test} --include-ignored {filter}"));
            }
            if name == "driver-devicemapper" {
                part("the same beside udev", &format!("with_udev {test} lifecycle busy"));
            }
        }
    }
    for test in tests("driver-conformance", &[])? {
        for trial in TRIALS {
            part(trial, &format!("env CONFORMANCE_RUNS=4 {} {trial}", word(&test)?));
        }
    }
    part("conformance of all drivers", &format!("{harness} conformance --driver {DRIVERS}"));
    part("what devicemapper keeps", &format!("keeps {harness}"));
    for (faults, operations) in FAULTS {
        let command = format!("{harness} faults --driver devicemapper --fault {faults} --operation {operations}");
        part(&format!("devicemapper: {faults} in {operations}"), &command);
    }
    let command = format!("{harness} compare --faults={SEEDED} --out \"$TMPDIR/faults\"");
    part(&format!("the gate sees {SEEDED}"), &command);
    part("from driver to driver", &format!("migrate {harness}"));
    let run = out.path().join("run");
    let run_word = word(&run)?;
    part(
        "main job",
        &format!("{harness} --driver {DRIVERS} --workload build --quick --runs 1 --format none --out {run_word}"),
    );
    script += "exit $status\n";
    let kernel = kernel.or_else(|| Kernel::find(Some(OLDER)).is_ok().then_some(OLDER));
    boot(kernel, vec!["sh".into(), "-c".into(), script.into()], vec![out.path().to_owned()])?;
    crate::checks::check_run(&run, &DRIVERS.split(',').collect::<Vec<_>>())
}

/// The functions of the script. Each part says how long it took, and fails the whole when it fails, after the others.
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
with_udev() {
    UDEV --daemon || return 1
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

/// Any command, for people at work.
pub fn run(kernel: Option<&str>, command: Vec<OsString>) -> Result<()> {
    boot(kernel, command, Vec::new())
}

/// `shares` are directories that the command may change.
fn boot(kernel: Option<&str>, command: Vec<OsString>, shares: Vec<PathBuf>) -> Result<()> {
    let mut lab = Lab::new(Kernel::find(kernel)?);
    lab.memory = 3 << 30;
    lab.timeout = Some(TIMEOUT);
    let job = Job {
        command,
        dir: std::env::current_dir().context("cannot find the current directory")?,
        environment: std::env::vars_os().filter(|(name, _)| passed_on(&name.to_string_lossy())).collect(),
        shares,
    };
    println!("Linux {}", lab.kernel.release());
    let output = Output { out: Box::new(io::stdout()), err: Box::new(io::stderr()) };
    // Ctrl-C ends this program, and the machine with it.
    match lab.run(&job, output, &AtomicBool::new(false))? {
        0 => Ok(()),
        status => bail!("the command in the virtual machine ended with status {status}"),
    }
}

fn passed_on(name: &str) -> bool {
    name.starts_with("HARNESS_") || name.starts_with("CONFORMANCE_") || name.starts_with("RUST_")
}

/// A path as a word of a shell's.
fn word(path: &std::path::Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("'{}'", text.replace('\'', "'\\''")))
}

/// Builds the tests that need the lab; returns the programs. They are those of `cargo test`: to optimise them takes longer than
/// emulation loses by what they compute.
fn tests(package: &str, features: &[&str]) -> Result<Vec<PathBuf>> {
    let built = build(&[&["test", "--no-run", "--tests", "-p", package], features].concat())?;
    let tests: Vec<_> =
        built.into_iter().filter(|artifact| artifact.is_integration_test).map(|built| built.program).collect();
    if tests.is_empty() {
        bail!("{package} has no integration tests");
    }
    Ok(tests)
}

pub fn release(package: &str, name: &str) -> Result<PathBuf> {
    let built = build(&["build", "--release", "-p", package])?;
    let found = built.into_iter().find(|artifact| artifact.name == name && !artifact.is_integration_test);
    Ok(found.with_context(|| format!("cargo built no {name}"))?.program)
}

/// A program that cargo built.
struct Artifact {
    name: String,
    is_integration_test: bool,
    program: PathBuf,
}

fn build(args: &[&str]) -> Result<Vec<Artifact>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(args)
        .args(["--quiet", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cargo {}: {}", args.join(" "), output.status);
    }
    // One JSON object a line: https://doc.rust-lang.org/cargo/reference/external-tools.html#json-messages
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let messages = lines.map(serde_json::from_slice).collect::<Result<Vec<serde_json::Value>, _>>();
    Ok(messages.context("cargo said something that is no JSON")?.iter().filter_map(artifact).collect())
}

fn artifact(message: &serde_json::Value) -> Option<Artifact> {
    let target = message.get("target")?;
    Some(Artifact {
        name: target.get("name")?.as_str()?.to_owned(),
        is_integration_test: target.get("kind")?.as_array()?.iter().any(|kind| kind == "test"),
        program: message.get("executable")?.as_str()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_understood() {
        let message = serde_json::json!({
            "reason": "compiler-artifact", "executable": "/t/it-0", "target": {"name": "it", "kind": ["test"]},
        });
        let found = artifact(&message).unwrap();
        assert!(found.is_integration_test && found.name == "it" && found.program.ends_with("it-0"));
        assert!(artifact(&serde_json::json!({"executable": null, "target": {"name": "x", "kind": ["lib"]}})).is_none());
        assert!(artifact(&serde_json::json!({"reason": "build-finished", "success": true})).is_none());
    }

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(word(std::path::Path::new("/a b/it's")).unwrap(), "'/a b/it'\\''s'");
    }
}

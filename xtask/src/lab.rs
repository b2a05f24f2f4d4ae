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
/// default. The guest has cgroups v2, where many hosts still have v1.
const CRATES: [(&str, &[&str], &[&str]); 4] = [
    ("driver-devicemapper", &["--features", "lab"], &[]),
    ("driver-overlay2", &[], &[]),
    ("harness-network", &[], &[]),
    ("harness-runtime", &[], &["limited", "counted", "cgroup"]),
];

/// Longer than all of it takes when every instruction is emulated.
const TIMEOUT: Duration = Duration::from_secs(40 * 60);

/// One boot for everything.
pub fn all(kernel: Option<&str>) -> Result<()> {
    let mut script = String::from("status=0\n");
    for (name, features, filters) in CRATES {
        for test in tests(name, features)? {
            for filter in if filters.is_empty() { &[""] } else { filters } {
                let test = word(&test)?;
                script += &format!("echo '-- {name} {filter}'\n{test} --include-ignored {filter} || status=1\n");
            }
        }
    }
    let harness = release("harness", "harness")?;
    script +=
        &format!("echo '-- conformance of all drivers'\n{} conformance --driver all || status=1\n", word(&harness)?);
    script += "exit $status\n";
    run(kernel, vec!["sh".into(), "-c".into(), script.into()])
}

/// Any command, for people at work.
pub fn run(kernel: Option<&str>, command: Vec<OsString>) -> Result<()> {
    let mut lab = Lab::new(Kernel::find(kernel)?);
    lab.memory = 3 << 30;
    lab.timeout = Some(TIMEOUT);
    let job = Job {
        command,
        dir: std::env::current_dir().context("cannot find the current directory")?,
        environment: std::env::vars_os().filter(|(name, _)| passed_on(&name.to_string_lossy())).collect(),
        shares: Vec::new(),
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

/// Builds the tests that need the lab; returns the programs.
fn tests(package: &str, features: &[&str]) -> Result<Vec<PathBuf>> {
    let built = build(&[&["test", "--no-run", "--release", "--tests", "-p", package], features].concat())?;
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

use clap::Args;
use serde_json::{Value, json};

use super::format;
use crate::{
    cli::Common,
    commands::{doctor, print},
    failure::Result,
};

/// Tell the version of this program
#[derive(Debug, Args)]
pub struct VersionArgs {
    #[command(flatten)]
    pub common: Common,
    /// A template instead of all: '{{.Server.Version}}'; or json for one line
    #[arg(long, short, value_name = "TEMPLATE")]
    format: Option<String>,
}

pub fn run(args: &VersionArgs) -> Result {
    let version = version();
    if let Some(format) = &args.format {
        return print(&format::filled(format, &version)?);
    }
    let text = "harness:\n Version:   {{.Client.Version}}\n OS/Arch:   {{.Client.Os}}/{{.Client.Arch}}\n Kernel:    \
                {{.Server.KernelVersion}}";
    print(&format::filled(text, &version)?)
}

/// In docker's shape. There is no daemon: the client is the server.
fn version() -> Value {
    let (version, os, arch) = (env!("CARGO_PKG_VERSION"), "linux", architecture());
    json!({
        "Client": {"Version": version, "Os": os, "Arch": arch, "Context": "default"},
        "Server": {
            "Version": version, "Os": os, "Arch": arch, "KernelVersion": doctor::kernel(),
            "Platform": {"Name": "harness"}, "Experimental": false,
            "Components": [{"Name": "Engine", "Version": version, "Details": {"Os": os, "Arch": arch}}],
        },
    })
}

/// Go's word for it, which images have too.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

//! What a root can do, for programs and for people.

use storage_driver::{Capabilities, Deviation, Sharing, Status, Support};

use crate::{
    Options, Owners,
    features::LONGEST,
    mounting::layers_in_a_page,
    probe::{Kernel, module_default},
};

/// The kernel's own limit on lower layers (fs/overlayfs, `OVL_MAX_STACK`): a sealed layer is one too when it is
/// mounted.
const KERNEL_LIMIT: usize = 500;

pub fn capabilities(kernel: &Kernel, size_limit: Support) -> Capabilities {
    let native_diff = if kernel.features.are_none() {
        Support::Yes
    } else {
        Support::No(
            "with redirect_dir or metacopy the upper directory is not the whole change, so the trees are compared; \
             set redirect_dir=off,metacopy=off"
                .to_owned(),
        )
    };
    let deviations = [
        (Deviation::RenameParentDirectory, !kernel.features.redirect_dir),
        (Deviation::StaleReadDescriptor, kernel.stale_descriptors),
        (Deviation::HardLinkBreaks, true),
        (Deviation::CopyUpFillsHoles, kernel.fills_holes),
    ];
    let deviations = deviations.into_iter().filter(|(_, shows)| *shows).map(|(deviation, _)| deviation).collect();
    let in_namespace = |what: &str| match kernel.in_user_namespace {
        true => Support::No(format!("{what} need root outside a user namespace")),
        false => Support::Yes,
    };
    let limit = if kernel.context { KERNEL_LIMIT } else { layers_in_a_page(&LONGEST).min(KERNEL_LIMIT) };
    Capabilities {
        sharing: Sharing::File,
        native_diff,
        size_limit,
        device_nodes: in_namespace("device nodes"),
        privileged_xattrs: in_namespace("trusted.* and security.* xattrs"),
        held_mounts: Support::Yes,
        max_depth: u32::try_from(limit).ok(),
        deviations,
    }
}

pub fn status(kernel: &Kernel, options: &Options, capabilities: &Capabilities) -> Status {
    let on_off = |on| if on { "on" } else { "off" }.to_owned();
    let said = |known, value| if known { value } else { "unknown to this kernel".to_owned() };
    let support = |support: &Support| match support {
        Support::Yes => "yes".to_owned(),
        Support::No(why) => format!("no: {why}"),
    };
    let pairs = [
        ("backing file system", kernel.backing.clone()),
        ("mount api", if kernel.context { "new (lowerdir+)" } else { "legacy (mount(2))" }.to_owned()),
        ("xattrs", if kernel.in_user_namespace { "user.overlay.*" } else { "trusted.overlay.*" }.to_owned()),
        ("index", said(kernel.known.index, on_off(false))),
        ("redirect_dir", said(kernel.known.redirect_dir, on_off(kernel.features.redirect_dir))),
        ("metacopy", said(kernel.known.metacopy, on_off(kernel.features.metacopy))),
        ("redirect_dir by default of the module", module_default("redirect_dir")),
        ("metacopy by default of the module", module_default("metacopy")),
        ("volatile", on_off(options.volatile)),
        ("owners", if options.owners == Owners::Squash { "squash" } else { "keep" }.to_owned()),
        ("native diff", support(&capabilities.native_diff)),
        ("size limit", support(&capabilities.size_limit)),
        ("sync", on_off(options.durability.syncs())),
    ];
    Status { pairs: pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

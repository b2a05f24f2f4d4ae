//! The options of `run` and `create` about mounts.

use std::path::Path;

use harness_container::{Mount, MountSource, Propagation};
use harness_image::Image;

use super::options::{ContainerOptions, bytes};
use crate::{
    containers::Site,
    failure::{Failure, Result},
};

/// All mounts of a container: those that were asked for, and a volume for each of the image's VOLUMEs that has none of them.
pub fn of(options: &ContainerOptions, image: &Image, site: &Site) -> Result<Vec<Mount>> {
    let mut mounts = Vec::new();
    for text in &options.volume {
        add(&mut mounts, volume(text)?)?;
    }
    for text in &options.mount {
        add(&mut mounts, mount(text)?)?;
    }
    for text in &options.tmpfs {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        let options = options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
        add(&mut mounts, Mount { target: target.into(), source: MountSource::Tmpfs { options }, read_only: false })?;
    }
    for text in &options.volumes_from {
        inherit(&mut mounts, text, site)?;
    }
    let declared = image.config.config().as_ref().and_then(|config| config.volumes().clone()).unwrap_or_default();
    for target in declared {
        if !mounts.iter().any(|mount| mount.target == Path::new(&target)) {
            mounts.push(anonymous(&target)?);
        }
    }
    // What is mounted in another mount comes after it.
    mounts.sort_by_key(|mount| mount.target.components().count());
    Ok(mounts)
}

/// `--volumes-from`: what is mounted in another container, where nothing else is to be.
fn inherit(mounts: &mut Vec<Mount>, text: &str, site: &Site) -> Result {
    let (name, read_only) = match text.split_once(':') {
        None | Some((_, "rw")) => (text.split(':').next().unwrap_or_default(), false),
        Some((name, "ro")) => (name, true),
        Some(_) => {
            return Err(Failure::usage(format!("--volumes-from takes CONTAINER[:ro|rw], not {text:?}")));
        }
    };
    for mount in site.find(name)?.configuration.mounts {
        let source = match mount.source {
            MountSource::Tmpfs { .. } => continue,
            // It is the other's to take along.
            MountSource::Volume { name, fill, .. } => MountSource::Volume { name, anonymous: false, fill },
            bind @ MountSource::Bind { .. } => bind,
        };
        if mounts.iter().all(|known| known.target != mount.target) {
            mounts.push(Mount { source, target: mount.target, read_only: mount.read_only || read_only });
        }
    }
    Ok(())
}

fn add(mounts: &mut Vec<Mount>, mount: Mount) -> Result {
    if !mount.target.is_absolute() || mount.target == Path::new("/") {
        let target = mount.target.display();
        return Err(Failure::usage(format!("a mount goes to an absolute path below /, not to {target}")));
    }
    if mounts.iter().any(|known| known.target == mount.target) {
        return Err(Failure::usage(format!("two mounts go to {}; leave one of them out", mount.target.display())));
    }
    mounts.push(mount);
    Ok(())
}

/// `-v`: a host's path begins with a slash (or a dot), anything else is a volume's name.
fn volume(text: &str) -> Result<Mount> {
    let wrong = |why: &str| Failure::usage(format!("--volume takes [HOST:|NAME:]CONTAINER[:ro], not {text:?}: {why}"));
    let parts: Vec<_> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => return anonymous(target),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err(wrong("it has too many colons; use --mount")),
    };
    let (mut read_only, mut fill, mut propagation) = (false, true, None);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "nocopy" => fill = false,
            // There is no SELinux here to label anything for.
            "z" | "Z" => {}
            option => match option.parse() {
                Ok(way) => propagation = Some(way),
                Err(_) => return Err(wrong(&format!("there is no option {option}"))),
            },
        }
    }
    let source = if source.starts_with('/') || source.starts_with('.') {
        let path = std::path::absolute(source).map_err(|error| wrong(&error.to_string()))?;
        MountSource::Bind { path, create: true, propagation: propagation.unwrap_or_default(), recursive: true }
    } else if propagation.is_some() {
        return Err(wrong("mounts travel between host and container in bind mounts only"));
    } else {
        MountSource::Volume { name: source.to_owned(), anonymous: false, fill }
    };
    Ok(Mount { target: target.into(), source, read_only })
}

fn anonymous(target: &str) -> Result<Mount> {
    let source = MountSource::Volume { name: drawn_name()?, anonymous: true, fill: true };
    Ok(Mount { target: target.into(), source, read_only: false })
}

/// The name of a volume that nobody named.
pub fn drawn_name() -> Result<String> {
    let mut random = [0_u8; 32];
    let filled = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    if filled != Ok(random.len()) {
        return Err(Failure::usage("the kernel gives no random bytes (getrandom(2))"));
    }
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `--mount`, docker's form with keys.
fn mount(text: &str) -> Result<Mount> {
    let wrong = |why: String| Failure::usage(format!("--mount {text:?}: {why}"));
    let (mut kind, mut source, mut target, mut read_only, mut fill) = ("volume", None, None, false, true);
    let (mut propagation, mut recursive) = (Propagation::default(), true);
    let mut options = Vec::new();
    for field in text.split(',') {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match (key, value) {
            ("type", "bind" | "volume" | "tmpfs") => kind = value,
            ("type", other) => return Err(wrong(format!("there is no type {other}; bind, volume or tmpfs"))),
            ("source" | "src", path) => source = Some(path),
            ("target" | "dst" | "destination", path) => target = Some(path),
            ("readonly" | "ro", "" | "true" | "1") => read_only = true,
            ("readonly" | "ro", "false" | "0") => read_only = false,
            ("volume-nocopy", "" | "true" | "1") => fill = false,
            ("bind-propagation", name) => propagation = name.parse().map_err(wrong)?,
            ("bind-recursive", "enabled" | "writable" | "readonly") => recursive = true,
            ("bind-recursive", "disabled") | ("bind-nonrecursive", "" | "true" | "1") => recursive = false,
            ("tmpfs-size", size) => {
                let size = bytes(Some(size))?.unwrap_or_default();
                options.push(format!("size={size}"));
            }
            ("tmpfs-mode", mode) if u32::from_str_radix(mode, 8).is_ok() => options.push(format!("mode={mode}")),
            _ => return Err(wrong(format!("{field:?} is not understood"))),
        }
    }
    let target = target.ok_or_else(|| wrong("it has no target".to_owned()))?;
    let source = match (kind, source) {
        ("bind", Some(path)) if path.starts_with('/') => {
            MountSource::Bind { path: path.into(), create: false, propagation, recursive }
        }
        ("bind", _) => return Err(wrong("a bind mount needs source=, an absolute path".to_owned())),
        ("tmpfs", None) => MountSource::Tmpfs { options },
        ("tmpfs", Some(_)) => return Err(wrong("a tmpfs has no source".to_owned())),
        (_, Some(name)) => MountSource::Volume { name: name.to_owned(), anonymous: false, fill },
        (_, None) => return Ok(Mount { read_only, ..anonymous(target)? }),
    };
    Ok(Mount { target: target.into(), source, read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_told_from_paths() {
        let bind = |path: &str, propagation| MountSource::Bind {
            path: path.into(),
            create: true,
            propagation,
            recursive: true,
        };
        let named = |name: &str, fill| MountSource::Volume { name: name.into(), anonymous: false, fill };
        let cases = [
            ("/a:/b", bind("/a", Propagation::RPrivate), false),
            ("/a:/b:ro", bind("/a", Propagation::RPrivate), true),
            ("/a:/b:rslave", bind("/a", Propagation::RSlave), false),
            ("data:/b", named("data", true), false),
            ("data:/b:ro,nocopy", named("data", false), true),
        ];
        for (text, source, read_only) in cases {
            assert_eq!(volume(text).unwrap(), Mount { target: "/b".into(), source, read_only }, "{text}");
        }
        assert!(matches!(volume("/b").unwrap().source, MountSource::Volume { anonymous: true, .. }));
        for text in ["/a:/b:rw:x", "/a:/b:loud", "data:/b:rshared"] {
            assert!(volume(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mounts_are_read_by_key() {
        let read =
            mount("type=bind,source=/a,target=/b,readonly,bind-propagation=shared,bind-recursive=disabled").unwrap();
        let source =
            MountSource::Bind { path: "/a".into(), create: false, propagation: Propagation::Shared, recursive: false };
        assert_eq!(read, Mount { target: "/b".into(), source, read_only: true });
        let read = mount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777").unwrap();
        assert_eq!(read.source, MountSource::Tmpfs { options: vec!["size=1048576".into(), "mode=1777".into()] });
        assert!(matches!(mount("target=/b").unwrap().source, MountSource::Volume { anonymous: true, .. }));
        for text in [
            "type=bind,target=/b",
            "type=nfs,target=/b",
            "source=x",
            "type=tmpfs,src=x,dst=/y",
            "target=/b,wrong",
            "type=bind,source=/a,target=/b,bind-propagation=x",
        ] {
            assert!(mount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_place_is_mounted_on_once() {
        let mut mounts = Vec::new();
        add(&mut mounts, volume("a1:/b").unwrap()).unwrap();
        assert!(add(&mut mounts, volume("c1:/b").unwrap()).is_err());
        assert!(add(&mut mounts, volume("c1:/").unwrap()).is_err());
        assert!(add(&mut mounts, volume("c1:b").unwrap()).is_err());
    }
}

//! The options about limits.

use std::path::Path;

use clap::Args;
use harness_container::{Resources, Throttle};

use super::{bytes, limits::LimitOptions, pair};
use crate::failure::{Failure, Result};

/// What a container may use.
#[derive(Debug, Clone, Args)]
pub struct ResourceOptions {
    #[command(flatten)]
    limits: LimitOptions,
    /// How readily its memory is swapped out, 0 to 100
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=100))]
    memory_swappiness: Option<u64>,
    /// Let processes wait for memory instead of killing them
    #[arg(long)]
    oom_kill_disable: bool,
    /// How willingly the kernel kills it for want of memory, -1000 to 1000
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    oom_score_adj: Option<i32>,
    /// A resource limit, as ulimit has them
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
    /// Size of /dev/shm [default: 64m]
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,
    /// Limit reading from a block device, in bytes a second
    #[arg(long, value_name = "DEVICE:BYTES")]
    device_read_bps: Vec<String>,
    /// Limit writing to a block device, in bytes a second
    #[arg(long, value_name = "DEVICE:BYTES")]
    device_write_bps: Vec<String>,
    /// Limit reading from a block device, in operations a second
    #[arg(long, value_name = "DEVICE:N")]
    device_read_iops: Vec<String>,
    /// Limit writing to a block device, in operations a second
    #[arg(long, value_name = "DEVICE:N")]
    device_write_iops: Vec<String>,
}

impl ResourceOptions {
    pub fn resources(&self) -> Result<Resources> {
        Ok(Resources {
            memory_swappiness: self.memory_swappiness,
            oom_kill_disable: self.oom_kill_disable,
            throttles: self.throttles()?,
            oom_score_adj: self.oom_score_adj,
            ..self.limits.change(&Resources::default())?
        })
    }

    fn throttles(&self) -> Result<Vec<Throttle>> {
        let options = [
            ("--device-read-bps", &self.device_read_bps, true, false),
            ("--device-write-bps", &self.device_write_bps, false, false),
            ("--device-read-iops", &self.device_read_iops, true, true),
            ("--device-write-iops", &self.device_write_iops, false, true),
        ];
        let mut found = Vec::new();
        for (option, texts, read, operations) in options {
            for text in texts {
                let (device, rate) = throttle(option, text, operations)?;
                found.push(Throttle { device: device.into(), read, operations, rate });
            }
        }
        Ok(found)
    }

    pub fn ulimits(&self) -> Result<Vec<(String, u64, u64)>> {
        self.ulimit.iter().map(|text| ulimit(text)).collect()
    }

    pub fn shm_size(&self) -> Result<Option<u64>> {
        bytes(self.shm_size.as_deref())
    }
}

fn throttle<'a>(option: &str, text: &'a str, operations: bool) -> Result<(&'a str, u64)> {
    let wrong = || {
        Failure::usage(format!(
            "{option} takes a device and a number from 1 on, such as /dev/sda:1048576, not {text:?}"
        ))
    };
    let (device, rate) = text.rsplit_once(':').ok_or_else(wrong)?;
    let rate = if operations { rate.parse().ok() } else { bytes(Some(rate)).ok().flatten() };
    let rate = rate.filter(|&rate| rate > 0).ok_or_else(wrong)?;
    if Path::new(device).is_absolute() { Ok((device, rate)) } else { Err(wrong()) }
}

/// `NAME=SOFT[:HARD]`.
pub fn ulimit(text: &str) -> Result<(String, u64, u64)> {
    let wrong =
        || Failure::usage(format!("--ulimit takes NAME=SOFT[:HARD] with numbers, -1 for no limit, not {text:?}"));
    let (name, limits) = pair("--ulimit", text)?;
    let number = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        number => number.parse::<u64>().map_err(|_| wrong()),
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((&limits, &limits));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(Failure::usage(format!("--ulimit {text}: the soft limit is above the hard one")));
    }
    Ok((name, soft, hard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        assert_eq!(ulimit("nofile=1024:2048").unwrap(), ("nofile".to_owned(), 1024, 2048));
        assert_eq!(ulimit("core=-1").unwrap(), ("core".to_owned(), u64::MAX, u64::MAX));
        for text in ["nofile", "nofile=x", "nofile=3:2"] {
            assert!(ulimit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn devices_are_throttled_by_their_paths() {
        assert_eq!(throttle("--x", "/dev/sda:1m", false).unwrap(), ("/dev/sda", 1 << 20));
        assert_eq!(throttle("--x", "/dev/disk/by-path/pci-0:1:5", true).unwrap(), ("/dev/disk/by-path/pci-0:1", 5));
        for text in ["/dev/sda", "/dev/sda:0", "/dev/sda:x", "sda:1"] {
            assert!(throttle("--x", text, true).is_err(), "{text}");
        }
    }
}

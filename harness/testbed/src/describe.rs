use serde::Serialize;

/// A testbed, for the record of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Description {
    /// As it was asked for.
    pub testbed: String,
    /// File system type.
    pub file_system: String,
    /// Size of the device, in bytes; absent for a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_size: Option<u64>,
    /// Whether a loop device passes the page cache of its file by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_io: Option<bool>,
    /// File system that holds a loop device's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backing: Option<String>,
    /// How the file system was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mkfs: Option<String>,
    /// The version of the program that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mkfs_version: Option<String>,
    /// Mount options.
    pub mount_options: String,
}

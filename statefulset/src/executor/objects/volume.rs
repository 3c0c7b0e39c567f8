//! Files of a pod, and the objects that they come from.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::meta::Metadata;

/// Files that a pod has. Those of claims are not among them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// How mounts call it.
    pub name: String,
    config_map: Option<Projection>,
    secret: Option<SecretVolume>,
    empty_dir: Option<EmptyDir>,
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq)]
pub enum VolumeSource {
    /// From a ConfigMap.
    ConfigMap(Projection),
    /// From a Secret.
    Secret(Projection),
    /// From nowhere; gone with the pod.
    Empty,
}

/// Keys of an object as files, as volumes of ConfigMaps are written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Projection {
    /// Which object.
    pub name: String,
    /// Which keys, as which files. None: all.
    #[serde(default)]
    pub items: Vec<Item>,
    /// Who may read files that do not say so.
    #[serde(default = "readable")]
    pub default_mode: u32,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
}

/// The same of a Secret, which is named by another field; a common type would take either name for both.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SecretVolume {
    secret_name: String,
    #[serde(default)]
    items: Vec<Item>,
    #[serde(default = "readable")]
    default_mode: u32,
    #[serde(default)]
    optional: bool,
}

/// A folder that begins empty. Where it is kept and how large it may grow means nothing here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EmptyDir {
    #[serde(rename = "medium")]
    _medium: Option<String>,
    #[serde(rename = "sizeLimit")]
    _size_limit: Option<String>,
}

/// A key as a file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Which key.
    pub key: String,
    /// Which file.
    pub path: PathBuf,
    /// Who may read it.
    pub mode: Option<u32>,
}

/// Where files are for the container.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mount {
    /// Which volume.
    pub name: String,
    /// Where it is seen.
    pub mount_path: PathBuf,
    /// Which part of it is seen.
    #[serde(default)]
    pub sub_path: PathBuf,
    /// Whether it cannot be written.
    #[serde(default)]
    pub read_only: bool,
}

/// A key of another object.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRef {
    /// Which object.
    pub name: String,
    /// Which key.
    pub key: String,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
}

/// Texts by name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMap {
    #[serde(rename = "apiVersion")]
    _version: super::CoreV1,
    #[serde(rename = "kind")]
    _kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// The texts.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
    /// Whether it can change.
    #[serde(default)]
    pub immutable: bool,
}

impl Volume {
    /// Where its files come from. `None`: not from exactly one place.
    #[must_use]
    pub fn source(&self) -> Option<VolumeSource> {
        match (&self.config_map, &self.secret, &self.empty_dir) {
            (Some(map), None, None) => Some(VolumeSource::ConfigMap(map.clone())),
            (None, Some(secret), None) => Some(VolumeSource::Secret(secret.clone().into())),
            (None, None, Some(_)) => Some(VolumeSource::Empty),
            _ => None,
        }
    }
}

impl From<SecretVolume> for Projection {
    fn from(SecretVolume { secret_name: name, items, default_mode, optional }: SecretVolume) -> Self {
        Self { name, items, default_mode, optional }
    }
}

fn readable() -> u32 {
    0o644
}

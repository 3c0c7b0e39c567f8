//! An image as `pack` writes it, read back file by file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::repository;

/// A program that every system has, is small, and is loaded with libraries.
pub const SMALL_PROGRAM: &str = "/bin/true";

/// A file or folder of a layer.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// As `ls` shows it, such as `-rwxr-xr-x`.
    pub mode: String,
    /// User and group, as numbers.
    pub owner: String,
    pub changed: String,
}

/// An image that was unpacked, as far as its blobs.
pub struct Archive {
    folder: TempDir,
}

impl Archive {
    /// Packs `binary`.
    pub fn of(binary: &Path, options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("image.tar");
        let output = pack(&file, binary, options).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        succeeds(Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(folder.path()));
        Self { folder }
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder.path().join(path)).unwrap()).unwrap()
    }

    /// The file that a descriptor names by digest.
    pub fn blob(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap();
        self.folder.path().join("blobs").join(digest.replace(':', "/"))
    }

    pub fn index(&self) -> Value {
        self.json("index.json")
    }

    pub fn manifest(&self) -> Value {
        read(&self.blob(&self.index()["manifests"][0]))
    }

    pub fn config(&self) -> Value {
        read(&self.blob(&self.manifest()["config"]))
    }

    /// The only layer.
    pub fn layer(&self) -> PathBuf {
        let layers = self.manifest()["layers"].as_array().unwrap().clone();
        assert_eq!(layers.len(), 1);
        self.blob(&layers[0])
    }

    /// What the layer holds, by path from `/`.
    pub fn entries(&self) -> BTreeMap<String, Entry> {
        let listed = succeeds(
            Command::new("tar").args(["--numeric-owner", "--utc", "--full-time", "-tvzf"]).arg(self.layer()),
        );
        String::from_utf8(listed.stdout).unwrap().lines().map(entry).collect()
    }

    /// Makes the root file system in `folder`, with its owners.
    pub fn unpack(&self, folder: &Path) {
        let mut tar = Command::new("tar");
        tar.args(["--numeric-owner", "--same-owner", "-xpzf"]).arg(self.layer());
        succeeds(tar.arg("-C").arg(folder));
    }
}

/// The command that packs `binary` into `file`.
pub fn pack(file: &Path, binary: &Path, options: &[&str]) -> Command {
    let mut pack = Command::new(repository().join("statefulset/image/pack"));
    pack.args(options).arg("--output").arg(file).arg(binary).env_remove("SOURCE_DATE_EPOCH");
    pack
}

/// SHA-256 as images write it.
pub fn digest(file: &Path) -> String {
    let output = succeeds(Command::new("sha256sum").arg(file));
    format!("sha256:{}", String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap())
}

pub fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// `drwxr-xr-x 0/0 0 1970-01-01 00:00:00 ./etc/`
fn entry(line: &str) -> (String, Entry) {
    let words: Vec<_> = line.split_whitespace().collect();
    let [mode, owner, _, day, time, path] = words[..] else { panic!("{line}") };
    let entry = Entry { mode: mode.to_owned(), owner: owner.to_owned(), changed: format!("{day} {time}") };
    (format!("/{}", path.trim_start_matches("./").trim_end_matches('/')), entry)
}

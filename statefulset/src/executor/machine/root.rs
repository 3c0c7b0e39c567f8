//! The files that a container sees: those of the image, and its volumes. Nothing else of the machine.
//!
//! Comes in: the mounts and who the container runs as. Leaves: a script of the shell that builds all of it in a mount name space
//! of its own, and then becomes the program, with the same process id.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
};

use super::{Image, run::quoted};

/// The program that gives up rights, as the container finds it. Images have none; it is hidden behind this name.
const GIVE_UP: &str = "/.executor/setpriv";

/// A folder or file of the machine that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) from: PathBuf,
    pub(super) to: PathBuf,
    pub(super) is_read_only: bool,
}

/// Who a container runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) fs_group: Option<u32>,
    pub(super) may_gain_rights: bool,
}

/// All that a container is made from.
pub(super) struct Root<'a> {
    /// An empty folder, on which it is built.
    pub(super) folder: &'a Path,
    pub(super) image: &'a Image,
    pub(super) host_name: &'a str,
    pub(super) binds: &'a [Bind],
    pub(super) is_read_only: bool,
    pub(super) user: &'a User,
    pub(super) working_folder: &'a Path,
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) command: &'a [String],
}

impl Root<'_> {
    /// The script; to be run in a mount name space of its own.
    pub(super) fn script(&self) -> String {
        let mut script = self.base();
        for bind in self.binds {
            add(&mut script, bind);
        }
        if self.is_read_only {
            script.push_str("mount -o remount,ro \"$root\"\n");
        }
        let variables = self.variables.iter().map(|(name, value)| quoted(&format!("{name}={value}")));
        let variables = variables.collect::<Vec<_>>().join(" ");
        let folder = quoted(&self.working_folder.display().to_string());
        let words = self.user.wrapped(self.command);
        let words = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let nsenter = "nsenter --root=\"$root\"";
        writeln!(script, "exec /usr/bin/env -i {variables} /usr/bin/{nsenter} --wdns={folder} -- {words}")
            .expect("a text takes all");
        script
    }

    /// What the runtime and the image give: a few devices, the libraries that programs of this machine need, the program.
    fn base(&self) -> String {
        let root = quoted(&self.folder.display().to_string());
        let program = quoted(&self.image.program.display().to_string());
        let path = quoted(&self.image.path.display().to_string());
        let host_name = quoted(self.host_name);
        format!(
            r#"set -e
root={root}
hostname {host_name}
mount --make-rprivate /
mount -t tmpfs -o mode=0755 executor "$root"
mkdir -p "$root/.executor" "$root/etc" "$root/proc" "$root/dev" "$root/usr/lib"
bind() {{
  mount --bind "$1" "$2"
}}
for device in null zero full random urandom; do
  touch "$root/dev/$device"
  bind "/dev/$device" "$root/dev/$device"
done
mount -t proc proc "$root/proc"
bind /usr/lib "$root/usr/lib"
mount -o remount,bind,ro "$root/usr/lib"
for folder in lib lib64; do
  if [ -L "/$folder" ]; then
    cp -P "/$folder" "$root/$folder"
  elif [ -d "/$folder" ]; then
    mkdir -p "$root/$folder"
    bind "/$folder" "$root/$folder"
    mount -o remount,bind,ro "$root/$folder"
  fi
done
if [ -d /usr/lib64 ]; then
  mkdir -p "$root/usr/lib64"
  bind /usr/lib64 "$root/usr/lib64"
fi
[ ! -f /etc/ld.so.cache ] || cp /etc/ld.so.cache "$root/etc/"
touch "$root{GIVE_UP}"
bind /usr/bin/setpriv "$root{GIVE_UP}"
mkdir -p "$(dirname "$root"{path})"
touch "$root"{path}
bind {program} "$root"{path}
mount -o remount,bind,ro "$root"{path}
"#
        )
    }
}

fn add(script: &mut String, Bind { from, to, is_read_only }: &Bind) {
    let (from, to) = (quoted(&from.display().to_string()), quoted(&to.display().to_string()));
    let read_only =
        if *is_read_only { format!("mount -o remount,bind,ro \"$root\"{to}\n") } else { String::new() };
    write!(
        script,
        "if [ -d {from} ]; then\n  mkdir -p \"$root\"{to}\nelse\n  mkdir -p \"$(dirname \"$root\"{to})\"\n  \
         touch \"$root\"{to}\nfi\nbind {from} \"$root\"{to}\n{read_only}"
    )
    .expect("a text takes all");
}

impl User {
    /// The words that run a program as this user, without any rights of root, and end it with its parent.
    pub(super) fn wrapped(&self, command: &[String]) -> Vec<String> {
        let groups =
            self.fs_group.map_or_else(|| "--clear-groups".to_owned(), |group| format!("--groups={group}"));
        let mut words = vec![
            GIVE_UP.to_owned(),
            format!("--reuid={}", self.user),
            format!("--regid={}", self.group),
            groups,
            "--inh-caps=-all".to_owned(),
            "--bounding-set=-all".to_owned(),
            "--pdeathsig=KILL".to_owned(),
        ];
        words.extend((!self.may_gain_rights).then(|| "--no-new-privs".to_owned()));
        words.push("--".to_owned());
        words.extend(command.iter().cloned());
        words
    }
}

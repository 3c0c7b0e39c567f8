//! What a package becomes: commands to a `document`, to `counter`s and to a `queue`.

use serde_json::{Value, json};

use super::control::{Paragraph, dependency_names};

/// The section of a package that names none.
pub const NO_SECTION: &str = "unknown";

/// What is kept of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub version: Option<String>,
    pub architecture: Option<String>,
    pub section: String,
    /// In KiB, as dpkg counts.
    pub installed_size: Option<u64>,
    /// The first line of its description.
    pub description: Option<String>,
    /// Each name once, in the order of the field.
    pub depends: Vec<String>,
}

impl Package {
    /// `None` when the paragraph names no package.
    ///
    /// The same package may be installed for two architectures. To be told apart they are named as dpkg names the
    /// second one, `libc6:i386`, when `is_taken` says that the plain name is used already.
    pub fn read(paragraph: &Paragraph, is_taken: impl Fn(&str) -> bool) -> Option<Self> {
        let text = |name: &str| paragraph.first_line(name).map(str::to_owned);
        let (plain, architecture) = (text("package")?, text("architecture"));
        let name = match &architecture {
            Some(architecture) if is_taken(&plain) => format!("{plain}:{architecture}"),
            _ => plain,
        };
        Some(Self {
            name,
            version: text("version"),
            architecture,
            section: text("section").unwrap_or_else(|| NO_SECTION.to_owned()),
            installed_size: text("installed-size").and_then(|size| size.parse().ok()),
            description: text("description"),
            depends: paragraph.get("depends").map(dependency_names).unwrap_or_default(),
        })
    }

    /// One document, one counter per dependency, one item in the queue of its section.
    pub fn commands(&self) -> Vec<Value> {
        let mut commands = vec![command("document", &self.name, json!({"put": {"value": self.document()}}))];
        commands.extend(self.depends.iter().map(|name| command("counter", name, json!({"add": 1}))));
        commands.push(command("queue", &self.section, json!({"push": {"item": self.name}})));
        commands
    }

    /// What is put into the package's document.
    pub fn document(&self) -> Value {
        json!({
            "version": self.version,
            "architecture": self.architecture,
            "section": self.section,
            "installed_size": self.installed_size,
            "description": self.description,
            "depends": self.depends,
        })
    }
}

fn command(kind: &str, key: &str, command: Value) -> Value {
    json!({"kind": kind, "key": key, "command": command})
}

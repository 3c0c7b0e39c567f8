//! `playhouse undrain`, `replace` and `forget`: what is done as soon as the cluster has agreed.

use serde_json::{Value, json};

use super::{Exit, Failure, Output, operators::Operators, server::Server};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which node
    name: String,

    #[command(flatten)]
    operators: Operators,
}

/// Which of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Undrain,
    Replace,
    Forget,
}

impl Change {
    fn action(self) -> &'static str {
        match self {
            Self::Undrain => "undrain",
            Self::Replace => "replace",
            Self::Forget => "forget",
        }
    }

    fn done(self, name: &str) -> String {
        match self {
            Self::Undrain => format!("{name} leads again as soon as it has said that it caught up"),
            Self::Replace => {
                format!(
                    "the replicas of {name} are made anew elsewhere; `playhouse status` shows how far it is"
                )
            }
            Self::Forget => format!("{name} is forgotten; its volume never comes back"),
        }
    }
}

pub(super) async fn run(
    change: Change,
    arguments: Arguments,
    server: &Server,
    output: &Output,
) -> Result<Exit, Failure> {
    let Arguments { name, operators } = arguments;
    let changed: Value = operators.desk(server)?.act(change.action(), &json!({"name": name})).await?;
    output.print(&changed, |_| change.done(&name))?;
    Ok(Exit::Ok)
}

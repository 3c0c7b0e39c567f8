//! A terminal in a room: shows what others do, says what is typed. Any client in any language does the same.

use std::{error::Error, time::Duration};

use playhouse::protocol::Key;
use playhouse_client::{Client, Config, Notice};

use super::{
    chatroom::{Did, Line},
    person::{Command, Whereabouts},
};

/// Keep this below [`SILENT_AFTER`](super::person::SILENT_AFTER).
const STAY_EVERY: Duration = Duration::from_secs(20);

/// Talks until the end of standard input.
///
/// # Errors
///
/// When the node refuses something or cannot be reached any more.
pub async fn talk(address: &str, room: &str, person: &str) -> Result<(), Box<dyn Error>> {
    let connection = Client::new(Config::new([address])?)?.connect().await?;
    let (me, room) = (connection.entity("person", person)?, Key::new(room)?);
    let lobby = connection.entity("chatroom", room.as_str())?;
    let mut heard = lobby.subscribe::<Line>(None).await?;
    me.call::<_, Whereabouts>(&Command::Enter { room: room.clone() }).await?;

    let mut stay = tokio::time::interval(STAY_EVERY);
    let mut typed = tokio::task::spawn_blocking(read_line);
    loop {
        tokio::select! {
            notice = heard.next() => show(notice?),
            line = &mut typed => {
                let Some(text) = line?? else { break };
                me.call::<_, Whereabouts>(&Command::Say { room: room.clone(), text }).await?;
                typed = tokio::task::spawn_blocking(read_line);
            }
            _ = stay.tick() => {
                me.call::<_, Whereabouts>(&Command::Stay {}).await?;
            }
        }
    }
    me.call::<_, Whereabouts>(&Command::Leave { room }).await?;
    Ok(())
}

fn show(notice: Notice<Line>) {
    match notice {
        Notice::Gap { first } => println!("(what came before number {first} is no longer kept)"),
        Notice::Item { item: Line { person, did, .. }, .. } => match did {
            Did::Entered => println!("{person} comes in"),
            Did::Said(text) => println!("{person}: {text}"),
            Did::Left => println!("{person} leaves"),
        },
    }
}

/// The next line that is typed; nothing at the end.
fn read_line() -> std::io::Result<Option<String>> {
    let mut line = String::new();
    let bytes = std::io::stdin().read_line(&mut line)?;
    Ok((bytes > 0).then(|| line.trim_end().to_owned()))
}

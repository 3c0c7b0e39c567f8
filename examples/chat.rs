//! A chat: rooms, people, presence.
//!
//! ```text
//! cargo run --example chat -- dev             # nodes with the kinds `person` and `chatroom`; the CLI of `playhouse`
//! cargo run --example chat -- talk lobby ann  # in two terminals, as two people
//! cargo run --example chat -- talk lobby bob
//! ```
//!
//! Who says nothing and is cut off leaves by a durable timer after a minute, also when the node was killed meanwhile.
//! Another client does the same over the WebSocket `/v1/connect`: `call` the person, `subscribe` to the room.

#![allow(clippy::print_stdout, clippy::print_stderr)] // It talks to a person.

#[path = "chat/chatroom.rs"]
mod chatroom;
#[path = "chat/person.rs"]
mod person;
#[path = "chat/talk.rs"]
mod talk;

use std::{error::Error, process::ExitCode};

use chatroom::Chatroom;
use person::Person;
use playhouse::node::Node;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["talk", room, person] => talk_at("http://127.0.0.1:8080", room, person),
        ["talk", room, person, address] => talk_at(address, room, person),
        _ => Node::builder().kind::<Person>().kind::<Chatroom>().main(),
    }
}

fn talk_at(address: &str, room: &str, person: &str) -> ExitCode {
    match talk_until_the_end(address, room, person) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the talk ended early: {error}");
            ExitCode::FAILURE
        }
    }
}

fn talk_until_the_end(address: &str, room: &str, person: &str) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(talk::talk(address, room, person));
    // Somebody may still be typing a line that nobody waits for.
    runtime.shutdown_background();
    ended
}

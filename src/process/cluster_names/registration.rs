//! `internal-process-name`: who has a name in the whole cluster. One entity for each name, so that names spread over all shards.
//!
//! It knows no clock and no node: who asks has looked whether the holder still lives, and says instead of whom a process is to be
//! registered. If that is not who has the name by now, nothing changes.

use serde::{Deserialize, Serialize};

use crate::{
    entity::{Context, Entity, NoEvents},
    process::Home,
    protocol::Key,
};

/// Who has a name, if anybody does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub(super) holder: Option<Holder>,
}

/// A process that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Where it lives.
    pub(super) home: Home,
    /// Which process there.
    pub(super) number: u64,
    /// Of the messages that it takes.
    pub(super) messages: u64,
    /// Tells two registrations of one process apart.
    pub(super) claim: u64,
}

/// What a name can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Gives the name to `holder` if nobody has it, or if `instead_of` or an earlier start of the same node has it; never if a later
    /// start of the same node has it.
    Register {
        /// Who wants it.
        holder: Holder,
        /// Who is known to be gone.
        instead_of: Option<Holder>,
    },
    /// Takes the name from this holder, if it has it.
    Unregister {
        /// Who has it.
        holder: Holder,
    },
    /// Who has it.
    Whereis,
}

impl Entity for Registration {
    const KIND: &'static str = "internal-process-name";
    const SUMMARY: &'static str = "Which process has a name in the whole cluster.";
    type Command = Command;
    /// Who has the name after the command; and for `Unregister` whether it was taken away.
    type Reply = Self;
    type Event = NoEvents;
    type Error = std::convert::Infallible;

    fn birth(_: &Key) -> Self {
        Self::default()
    }

    fn handle(
        &self,
        command: Command,
        context: &mut Context<'_, Self>,
    ) -> Result<Self, std::convert::Infallible> {
        let next = match command {
            Command::Register { holder, instead_of } => self.registered(holder, instead_of),
            Command::Unregister { holder } if self.holder == Some(holder) => Self { holder: None },
            Command::Unregister { .. } | Command::Whereis => *self,
        };
        match next.holder {
            _ if next == *self => {}
            Some(_) => context.save(next),
            // A name that nobody has leaves nothing behind.
            None => context.remove(),
        }
        Ok(next)
    }
}

impl Registration {
    fn registered(self, wanted: Holder, instead_of: Option<Holder>) -> Self {
        let is_free = self.holder.is_none_or(|holder| {
            if holder.home.node == wanted.home.node && holder.home != wanted.home {
                // An earlier start knows nothing of a later one, whatever it believes.
                return holder.home.incarnation < wanted.home.incarnation;
            }
            Some(holder) == instead_of
        });
        if is_free { Self { holder: Some(wanted) } } else { self }
    }
}

#[cfg(test)]
mod tests {
    use playhouse_cluster::{consensus::RaftId, identity::Incarnation};

    use super::*;
    use crate::kinds::scene::Scene;

    fn holder(node: u64, incarnation: u64, claim: u64) -> Holder {
        let home = Home { node: RaftId(node), incarnation: Incarnation(incarnation) };
        Holder { home, number: 7, messages: 1, claim }
    }

    fn register(
        name: &mut Scene<Registration>,
        holder: Holder,
        instead_of: Option<Holder>,
    ) -> Option<Holder> {
        name.command(Command::Register { holder, instead_of }).unwrap().holder
    }

    #[test]
    fn one_has_the_name_until_it_is_taken_away() {
        let mut name = Scene::<Registration>::new("printer");
        let (first, second) = (holder(1, 1, 10), holder(2, 1, 20));
        assert_eq!(register(&mut name, first, None), Some(first));
        assert_eq!(register(&mut name, second, None), Some(first));
        assert_eq!(name.command(Command::Unregister { holder: second }).unwrap().holder, Some(first));
        assert_eq!(name.command(Command::Unregister { holder: first }).unwrap().holder, None);
        assert_eq!(register(&mut name, second, None), Some(second));
        assert_eq!(name.command(Command::Whereis).unwrap().holder, Some(second));
    }

    #[test]
    fn one_that_is_known_to_be_gone_is_replaced_unless_another_was_faster() {
        let mut name = Scene::<Registration>::new("printer");
        let (gone, fast, slow) = (holder(1, 1, 10), holder(2, 1, 20), holder(3, 1, 30));
        register(&mut name, gone, None);
        assert_eq!(register(&mut name, fast, Some(gone)), Some(fast));
        assert_eq!(register(&mut name, slow, Some(gone)), Some(fast));
    }

    /// What an earlier start sent may arrive after the next one registered.
    #[test]
    fn a_later_start_of_a_node_replaces_an_earlier_one_and_never_the_other_way_round() {
        let mut name = Scene::<Registration>::new("printer");
        let (early, late) = (holder(1, 1, 10), holder(1, 2, 20));
        register(&mut name, early, None);
        assert_eq!(register(&mut name, late, None), Some(late));
        assert_eq!(register(&mut name, early, None), Some(late));
        assert_eq!(register(&mut name, early, Some(late)), Some(late), "it cannot know that");
        assert_eq!(name.command(Command::Unregister { holder: early }).unwrap().holder, Some(late));
    }

    /// A release that comes late must not take a name away that the same process has got again.
    #[test]
    fn each_registration_is_another_one() {
        let mut name = Scene::<Registration>::new("printer");
        let (first, again) = (holder(1, 1, 10), holder(1, 1, 11));
        register(&mut name, first, None);
        assert_eq!(register(&mut name, again, None), Some(first), "registering twice is refused");
        name.command(Command::Unregister { holder: first }).unwrap();
        register(&mut name, again, None);
        assert_eq!(name.command(Command::Unregister { holder: first }).unwrap().holder, Some(again));
    }
}

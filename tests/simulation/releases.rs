//! Two releases side by side, one of which has a kind that the other lacks.

use std::{collections::BTreeSet, num::NonZeroU64, time::Duration};

use playhouse::{
    protocol::{CallError, Key, KindName, ListQuery},
    router::{EntityRef, Router},
};
use tokio::time::sleep;

use super::{
    account::{self, Account},
    stories::{SHAPE, simulate, whole_of, within},
    transfer::{self, Order, Phase, Transfer},
    world::{World, without_accounts},
};

const ACCOUNTS: usize = 24;
/// It has the release before accounts.
const OLD: usize = 0;
const PATIENCE: Duration = Duration::from_secs(60);

fn key(name: &str) -> Key {
    Key::new(name).expect("it is a key")
}

fn router(world: &World, at: usize) -> Router {
    world.with(at, |node| node.router().clone()).expect("it serves")
}

/// Accounts and whether the old release leads their shard.
fn accounts(old: &Router) -> Vec<(Key, bool)> {
    let is_led = |account: &EntityRef<Account>| old.leader(account.id().shard(old.shards())) == Some(None);
    let account = |number| {
        let key = key(&format!("account-{number}"));
        let is_led = is_led(&EntityRef::new(old.clone(), key.clone()));
        (key, is_led)
    };
    (0..ACCOUNTS).map(account).collect()
}

async fn balance(router: &Router, key: &Key) -> Result<u64, CallError> {
    let account = EntityRef::<Account>::new(router.clone(), key.clone());
    account.call(&account::Command::Get {}).await.map(|statement| statement.balance)
}

/// Opens them all through the old node; what it answers depends on the leader alone.
async fn open_through(old: &Router, accounts: &[(Key, bool)]) {
    for (key, is_lacked) in accounts {
        let account = EntityRef::<Account>::new(old.clone(), key.clone());
        let opened = account.call(&account::Command::Open { balance: 100 }).await;
        let is_unknown = matches!(&opened, Err(CallError::UnknownKind { kind }) if kind == "account");
        assert!(if *is_lacked { is_unknown } else { opened.is_ok() }, "{key:?}: {opened:?}");
    }
}

async fn listed(router: &Router) -> BTreeSet<Key> {
    let kind = KindName::new("account").expect("it is a name");
    let query = ListQuery { kind, prefix: String::new(), after: None, limit: 100 };
    let page = router.list(query, PATIENCE).await.expect("two leaders have the kind");
    page.entities.into_iter().map(|(key, _)| key).collect()
}

/// The outbox of a shard that the old release leads sends to accounts.
async fn transfer_from_old(old: &Router, payer: &Key, payee: &Key) {
    let transfer = |number| EntityRef::<Transfer>::new(old.clone(), key(&format!("transfer-{number}")));
    let led_by_old =
        |transfer: &EntityRef<Transfer>| old.leader(transfer.id().shard(old.shards())) == Some(None);
    let transfer = (0..).map(transfer).find(led_by_old).expect("it leads some shard");
    let order = Order { from: payer.clone(), to: payee.clone(), amount: NonZeroU64::new(30).expect("not 0") };
    transfer.call(&transfer::Command::Start(order)).await.expect("the old release has transfers");
    let mut phase = Phase::Idle;
    for _ in 0..1_000 {
        phase = transfer.call(&transfer::Command::Get {}).await.expect("its leader is there");
        if phase == Phase::Done {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the transfer came no farther than {phase:?}");
}

#[test]
fn any_node_passes_on_what_only_the_release_of_the_leader_has() {
    simulate(async {
        let mut world = World::new(1, SHAPE);
        world.hosts[OLD].kinds = without_accounts;
        let mut world = whole_of(world).await;
        let is_spread = || (0..SHAPE.nodes).all(|at| router(&world, at).led_shards() >= 2);
        assert!(within(PATIENCE, is_spread).await);
        let (old, new) = (router(&world, OLD), router(&world, 1));
        let accounts = accounts(&old);
        let (lacked, had): (Vec<_>, Vec<_>) = accounts.iter().cloned().partition(|(_, is_lacked)| *is_lacked);
        assert!(lacked.len() >= 2 && had.len() >= 2, "both releases lead: {accounts:?}");

        open_through(&old, &accounts).await;
        for (key, is_lacked) in &accounts {
            for gateway in [&old, &new] {
                let balance = balance(gateway, key).await;
                assert_eq!(balance.as_ref().ok(), (!is_lacked).then_some(&100), "{key:?}: {balance:?}");
            }
        }
        let [payer, payee] = [&had[0].0, &had[1].0];
        transfer_from_old(&old, payer, payee).await;
        assert_eq!((balance(&old, payer).await, balance(&old, payee).await), (Ok(70), Ok(130)));
        let opened: BTreeSet<Key> = had.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!((listed(&old).await, listed(&new).await), (opened.clone(), opened));
        let view =
            old.view(EntityRef::<Account>::new(old.clone(), payer.clone()).id().clone(), PATIENCE).await;
        assert!(view.is_ok_and(|view| view.state.starts_with(b"{")), "the leader shows it");

        // The old release goes, and everybody finds what it lacked.
        world.leave(OLD);
        assert!(within(PATIENCE, || world.ended(OLD).is_some()).await);
        for (key, _) in &accounts {
            let balance = balance(&new, key).await;
            assert!(balance.is_ok(), "{key:?}: {balance:?}");
        }
    });
}

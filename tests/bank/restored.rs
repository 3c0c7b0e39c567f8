//! The bank goes on from a backup that was taken while it was at work.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use playhouse::{
    backup::{Backup, BackupWriter, FORMAT, Header, Manifest},
    node::{self, CopyHead, Node, Operator, Settings},
};

use crate::{
    account::{self, Account},
    node::{OPENED_WITH, entity_key, kinds, start, transfer},
};

const ACCOUNTS: u64 = 8;
const TRANSFERS: u64 = 60;
/// They take less than a second, and minutes if their casts are not executed.
const ARRIVED_WITHIN: Duration = Duration::from_secs(30);

/// Accounts that only deal with each other.
async fn open_accounts(node: &Node, name: &str) {
    for number in 0..ACCOUNTS {
        let account = node.entity::<Account>(entity_key(name, number));
        account.call(&account::Command::Open { balance: OPENED_WITH }).await.unwrap();
    }
}

async fn statements(node: &Node, name: &str) -> Vec<(u64, u64)> {
    let mut statements = Vec::new();
    for number in 0..ACCOUNTS {
        let account = node.entity::<Account>(entity_key(name, number));
        let statement = account.call(&account::Command::Get {}).await.unwrap();
        statements.push((statement.balance, statement.held));
    }
    statements
}

async fn all_transfers(node: &Node, name: &str) {
    let ended = join_all((0..TRANSFERS).map(|number| transfer(node, name, ACCOUNTS, number))).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
}

/// As `playhouse backup` does it: all shards are opened before one is read. `between` happens after half of them were opened,
/// as if the others had no leader until then.
async fn back_up(operator: &Operator, to: &Path, between: impl Future<Output = ()>) {
    let (cluster_id, shards) = operator.cluster().unwrap();
    let mut heads = try_join_all((0..shards / 2).map(|shard| operator.open_copy(shard))).await.unwrap();
    between.await;
    let others = try_join_all((shards / 2..shards).map(|shard| operator.open_copy(shard)));
    heads.extend(others.await.unwrap());
    let began_ms = heads[0].taken_ms;
    let manifest = Manifest {
        format: FORMAT,
        cluster_id: cluster_id.to_string(),
        shards,
        release: "test".to_owned(),
        schemas: [].into(),
        began_ms,
        ended_ms: began_ms,
        files: Vec::new(),
        checksum: String::new(),
    };
    let mut backup = BackupWriter::begin(to, manifest).unwrap();
    for (shard, head) in (0..).zip(&heads) {
        let header = Header {
            format: FORMAT,
            cluster_id: cluster_id.to_string(),
            shard,
            shards,
            term: head.position.term,
            index: head.position.index,
            taken_ms: head.taken_ms,
        };
        copy(operator, head, &header, &mut backup).await;
    }
    backup.finish().unwrap();
}

async fn copy(operator: &Operator, head: &CopyHead, header: &Header, backup: &mut BackupWriter) {
    let mut writer = backup.shard(header).unwrap();
    let mut after: Option<Bytes> = None;
    loop {
        let part = operator.read_copy(head.id, after).await.unwrap();
        let pairs = part.open().unwrap();
        let Some((last, _)) = pairs.last() else { break };
        after = Some(last.clone());
        writer.add(&part, &pairs).unwrap();
    }
    backup.end_shard(header, writer).unwrap();
    operator.close_copy(head.id).await.unwrap();
}

/// Between shards a backup is no moment that ever was, so nothing is promised about money that was on its way then. But money
/// that was at rest is where it was, and what is sent afterwards arrives, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_goes_on_from_a_backup_taken_while_money_is_on_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let (old, copy, new) = (folder.path().join("old"), folder.path().join("copy"), folder.path().join("new"));
    let node = start(&old).await;
    for name in ["rest", "busy"] {
        open_accounts(&node, name).await;
    }
    all_transfers(&node, "rest").await;
    let at_rest = statements(&node, "rest").await;
    let untouched = statements(&node, "busy").await;
    back_up(&node.operator(), &copy, all_transfers(&node, "busy")).await;
    node.stop(Duration::from_secs(5)).await;

    let settings = Settings::new("playhouse-0", &new);
    let backup = Backup::open(&copy).unwrap();
    tokio::task::block_in_place(|| node::restore(&settings, &backup, &kinds())).unwrap();
    let node = start(&new).await;
    assert_eq!(statements(&node, "rest").await, at_rest);
    assert_ne!(statements(&node, "busy").await, untouched, "shards that were opened later have them");

    // The same shards cast to each other again: a cast that is taken for an old one would not arrive.
    open_accounts(&node, "new").await;
    let arrive = tokio::time::timeout(ARRIVED_WITHIN, all_transfers(&node, "new"));
    arrive.await.expect("casts are taken for old ones, and each is sent again only seconds later");
    let (balances, held) =
        statements(&node, "new").await.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert_eq!((balances, held), (ACCOUNTS * OPENED_WITH, 0));
    assert_eq!(statements(&node, "rest").await, at_rest);
    node.stop(Duration::from_secs(5)).await;
}

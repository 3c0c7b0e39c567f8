//! The disk of one node hangs: no error, no answer.

use std::{io::ErrorKind, time::Duration};

use tokio::{net::TcpStream, time::Instant};

use crate::{
    CLIENTS, ONE_AT_A_TIME,
    load::Load,
    nodes::{NODES, Nodes, free_ports, until},
    privileges::{Disk, not_tested},
    process::playhouse,
};

/// What a node waits for a disk, what it then takes to leave, and what a busy machine adds.
const ENDED_WITHIN: Duration = Duration::from_secs(60);

/// The others take over, and the node ends by itself as far as the system lets it: threads that wait for the disk cannot be
/// ended by anybody, so it must have closed its ports before. With a disk that is well again it does all it did before.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_hangs_gives_its_leaderships_away_and_ends() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut nodes = Nodes::prepare(playhouse, &free_ports(NODES), &["store.reserve_bytes=40MiB"]);
    let image = nodes.folder().join("disk-of-node-1");
    let disk = match Disk::mount(&image, "400M", &nodes.nodes[1].data()) {
        Ok(disk) => disk,
        Err(reason) => return not_tested("a disk that hangs", &reason),
    };
    nodes.nodes.iter_mut().for_each(|node| node.start());
    nodes.until_whole().await;
    let load = Load::start("hang", CLIENTS, || nodes.any());
    nodes.nodes[1].until_leading().await;
    load.until_answers(100).await;

    disk.hang().unwrap();
    let begin = Instant::now();
    let victim = &nodes.nodes[1];
    nodes.until_led_by(&[0, 2]).await;
    println!("others lead {:?} after the disk began to hang", begin.elapsed());
    load.until_answers(300).await;
    victim.until_logged(&["the disk hangs", "the node cannot go on"]).await;
    println!("it was given up after {:?} at the latest", begin.elapsed());
    until("its main thread has ended", async || victim.has_ended_but_for_its_disk()).await;
    println!("the node ended after {:?}", begin.elapsed());
    assert!(begin.elapsed() < ENDED_WITHIN, "{:?}", begin.elapsed());
    for port in [victim.ports.gateway, victim.ports.peer] {
        let refused = TcpStream::connect(port).await.map(drop);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused, "{port}");
    }

    disk.go_on().unwrap();
    let status = nodes.nodes[1].ended().await;
    assert_eq!(status.code(), Some(1), "{status}");
    nodes.nodes[1].start_again().await;
    nodes.until_whole().await;
    nodes.nodes[1].until_leading().await;
    load.until_answers(100).await;
    let book = load.stop().await;
    book.assert_no_failures();
    book.pauses(&[begin]).print("a disk that hangs");
    book.audit(&nodes, &[0, 1, 2]).await;
    drop((nodes, disk));
}

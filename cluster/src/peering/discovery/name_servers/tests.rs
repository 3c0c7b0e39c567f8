//! A name server of the test, on a port that the system chose.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use hickory_resolver::{
    config::{ConnectionConfig, NameServerConfig},
    proto::{
        op::{Message, MessageType, OpCode, ResponseCode},
        rr::{
            Name, Record,
            rdata::{A, AAAA, SRV},
        },
    },
};
use tokio::net::UdpSocket;

use super::{
    super::{Discovery, Dns, DnsConfig},
    *,
};
use crate::environment::Environment;

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(30);

type Zone = fn(&str, RecordType) -> Result<Vec<RData>, ResponseCode>;

/// Answers out of `zone` until the test ends.
async fn serve(zone: Zone) -> NameServers {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut connection = ConnectionConfig::udp();
    connection.port = socket.local_addr().unwrap().port();
    let server = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![connection]);
    Environment::simulated(1).spawn(async move {
        let mut bytes = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            let answer = answer_of(&Message::from_vec(&bytes[..length]).unwrap(), zone);
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    NameServers::of(ResolverConfig::from_parts(None, Vec::new(), vec![server]))
}

fn answer_of(question: &Message, zone: Zone) -> Message {
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    let query = question.queries[0].clone();
    match zone(&query.name().to_ascii(), query.query_type()) {
        Ok(records) => {
            let record = |data| Record::from_rdata(query.name().clone(), 600, data);
            answer.add_answers(records.into_iter().map(record));
        }
        Err(code) => answer.metadata.response_code = code,
    }
    answer.add_query(query);
    answer
}

fn zone(name: &str, kind: RecordType) -> Result<Vec<RData>, ResponseCode> {
    let service = |port, host: &str| RData::SRV(SRV::new(0, 1, port, Name::from_ascii(host).unwrap()));
    match (name, kind) {
        ("_peer._tcp.peers.example.", RecordType::SRV) => Ok(vec![
            service(4370, "Playhouse-0.peers.example."),
            service(4371, "playhouse-1.peers.example."),
            service(0, "."),
        ]),
        ("both.example.", RecordType::A) => {
            Ok(vec![RData::A(A::new(10, 0, 0, 1)), RData::A(A::new(10, 0, 0, 2))])
        }
        ("both.example.", RecordType::AAAA) => Ok(vec![RData::AAAA(AAAA("fd00::1".parse().unwrap()))]),
        ("four.example.", RecordType::A) => Ok(vec![RData::A(A::new(10, 0, 0, 3))]),
        ("four.example.", _) => Ok(Vec::new()),
        ("broken.example.", _) => Err(ResponseCode::ServFail),
        _ => Err(ResponseCode::NXDomain),
    }
}

#[tokio::test]
async fn services_have_names_and_ports() {
    let servers = serve(zone).await;
    let mut found = servers.services("_peer._tcp.peers.example.").await.unwrap();
    found.sort();
    let target = |host: &str, port| ServiceTarget { host: host.to_owned(), port };
    let expected = [target("playhouse-0.peers.example", 4370), target("playhouse-1.peers.example", 4371)];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn addresses_are_of_both_kinds() {
    let servers = serve(zone).await;
    let mut found = servers.addresses("both.example").await.unwrap();
    found.sort();
    assert_eq!(found, ["10.0.0.1", "10.0.0.2", "fd00::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    let found = servers.addresses("four.example.").await.unwrap();
    assert_eq!(found, [IpAddr::from([10, 0, 0, 3])]);
}

#[tokio::test]
async fn what_does_not_exist_is_an_empty_answer() {
    let servers = serve(zone).await;
    assert_eq!(servers.services("_peer._tcp.both.example.").await, Ok(Vec::new()));
    assert_eq!(servers.services("_peer._tcp.four.example.").await, Ok(Vec::new()));
    assert_eq!(servers.addresses("nobody.example.").await, Ok(Vec::new()));
}

#[tokio::test]
async fn a_server_that_fails_is_an_error_that_names_the_question() {
    let servers = serve(zone).await;
    for error in [
        servers.services("broken.example.").await.unwrap_err(),
        servers.addresses("broken.example.").await.unwrap_err(),
    ] {
        assert!(error.to_string().starts_with("no answer about broken.example.: "), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_an_error() {
    let servers = serve(zone).await;
    assert!(servers.addresses(&"x".repeat(80)).await.is_err());
}

/// The whole way, from a server to addresses that can be dialed.
#[tokio::test]
async fn discovery_finds_what_the_server_says() {
    for (name, expected) in [
        ("peers.example.", vec!["playhouse-0.peers.example:4370", "playhouse-1.peers.example:4371"]),
        ("four.example.", vec!["10.0.0.3:4370"]),
    ] {
        let servers = Arc::new(serve(zone).await);
        let discovery = Dns::start(DnsConfig::new(name, 4370), servers, &Environment::simulated(1));
        let mut addresses = discovery.addresses();
        let known = tokio::time::timeout(LONG, addresses.wait_for(|known| !known.is_empty()));
        let known: Vec<_> = known.await.unwrap().unwrap().iter().cloned().collect();
        assert_eq!(known, expected);
    }
}

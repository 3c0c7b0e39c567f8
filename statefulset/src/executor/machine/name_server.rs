//! The name server of the cluster: a socket in front of the [`Zone`].

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, SRV},
    },
};
use tokio::net::UdpSocket;

use super::network::NAME_SERVER;
use crate::executor::names::{Answer, Kind, Zone};

/// How long others may keep an answer, in seconds. Clusters say 30, and pods that change are noticed that much later.
const KEPT_SECONDS: u32 = 5;
/// Longest question.
const QUESTION_BYTES_MAX: usize = 4096;

/// The names of now.
pub(super) type Names = Arc<Mutex<Zone>>;

/// Answers until the socket fails.
pub(super) async fn serve(socket: UdpSocket, names: Names) {
    let mut bytes = [0; QUESTION_BYTES_MAX];
    while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
        let answer = Message::from_vec(&bytes[..length]).ok().and_then(|question| answer(&question, &names));
        if let Some(bytes) = answer.and_then(|answer| answer.to_vec().ok()) {
            drop(socket.send_to(&bytes, from).await);
        }
    }
}

/// To be called in the name space of the machine.
pub(super) async fn bind() -> io::Result<UdpSocket> {
    UdpSocket::bind((NAME_SERVER, 53)).await
}

fn answer(question: &Message, names: &Names) -> Option<Message> {
    let query = question.queries.first()?.clone();
    let zone = names.lock().unwrap_or_else(PoisonError::into_inner);
    let kind = match query.query_type() {
        RecordType::A => Kind::A,
        RecordType::SRV => Kind::Srv,
        _ => Kind::Other,
    };
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.authoritative = true;
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    let record = |data| Record::from_rdata(query.name().clone(), KEPT_SECONDS, data);
    match zone.answer(&query.name().to_ascii(), kind) {
        Answer::Addresses(all) => {
            answer.add_answers(all.into_iter().map(|each| record(RData::A(A(each)))));
        }
        Answer::Targets(all) => {
            for target in all {
                let host = Name::from_ascii(format!("{}.", target.host)).ok()?;
                if let Answer::Addresses(found) = zone.answer(&target.host, Kind::A) {
                    for each in found {
                        let beside = Record::from_rdata(host.clone(), KEPT_SECONDS, RData::A(A(each)));
                        answer.add_additional(beside);
                    }
                }
                answer.add_answer(record(RData::SRV(SRV::new(0, 100, target.port, host))));
            }
        }
        Answer::NoSuchName => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    answer.add_query(query.clone());
    Some(answer)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::Ipv4Addr};

    use hickory_proto::op::Query;

    use super::*;
    use crate::executor::{endpoints::tests::pods, objects::tests::objects};

    fn asked(name: &str, kind: RecordType) -> Message {
        let names = Arc::new(Mutex::new(Zone::of(&objects(), &pods(), &BTreeMap::new())));
        let mut question = Message::new(7, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let bytes = answer(&question, &names).unwrap().to_vec().unwrap();
        Message::from_vec(&bytes).unwrap()
    }

    #[test]
    fn hosts_come_with_their_addresses() {
        let answer = asked("_peer._tcp.peers.here.svc.cluster.local.", RecordType::SRV);
        assert_eq!((answer.metadata.id, answer.answers.len(), answer.additionals.len()), (7, 3, 3));
        let address = RData::A(A(Ipv4Addr::new(10, 0, 0, 1)));
        assert!(answer.additionals.iter().any(|record| record.data == address));
    }

    #[test]
    fn a_name_that_is_not_there_is_said_to_be_none() {
        let code = |name, kind| asked(name, kind).metadata.response_code;
        assert_eq!(code("nobody.here.svc.cluster.local.", RecordType::A), ResponseCode::NXDomain);
        assert_eq!(code("peers.here.svc.cluster.local.", RecordType::AAAA), ResponseCode::NoError);
    }
}

//! Calls of a `Volatile` kind through the gateway of one node, over HTTP and over WebSocket, beside bare axum that echoes
//! the same bytes.
//!
//! Node, echo and client are processes of their own and share the cores of the machine; so the time that each server
//! spends on a processor is measured, too. The client of most rows is as small as it can be, so that it is not what is measured;
//! `playhouse_client` has rows of its own. All loads are closed loops: the next call leaves when the last is answered.

mod client;
pub(super) mod http;
pub(super) mod load;
mod websocket;

use std::{net::SocketAddr, path::Path, time::Duration};

use self::{
    client::Calls,
    load::{Measured, Times},
};
use super::{counted, key};
use crate::{
    Effort, Figures, Unit,
    axum_echo::{self, AxumEcho},
    child::Child,
    cluster::{self, Cluster, Plan},
    node,
    table::{OURS, name},
};

const CONNECTIONS: [usize; 2] = [1, 64];
const SOCKETS: usize = 64;
/// Calls of one WebSocket connection that are unanswered at once.
const IN_FLIGHT: usize = 32;
const RUN: Duration = Duration::from_secs(3);
/// Before anything is measured.
const WARM: Duration = Duration::from_secs(1);
/// The peer, in the names of figures.
const AXUM: &str = "axum";

pub(super) fn run(_: &Path, effort: Effort, figures: &mut Figures) {
    let (node, echo) = (Cluster::apart(plan(effort)), AxumEcho::start());
    let times = Times { warm: effort.lasting(WARM), run: effort.lasting(RUN) };
    let ours =
        Server { who: OURS, process: node.children[0].child(), at: node.children[0].gateway_address() };
    let bare = Server { who: AXUM, process: echo.child(), at: echo.address() };
    for _ in 0..effort.runs {
        for connections in CONNECTIONS {
            small_http(&ours, &bare, connections, times, figures);
        }
        small_websocket(&ours, &bare, times, figures);
        for connections in CONNECTIONS {
            client_http(&ours, &bare, connections, times, figures);
        }
        client_websocket(&ours, times, figures);
    }
    node.stop();
}

/// A node alone; its volume is hardly used, because the kind is `Volatile`.
pub(super) fn plan(effort: Effort) -> Plan {
    Plan::alone(cluster::shards(effort))
}

/// Who is measured.
struct Server<'a> {
    who: &'static str,
    process: &'a Child,
    at: SocketAddr,
}

impl Server<'_> {
    fn note(&self, figures: &mut Figures, work: &str, measured: &Measured) {
        self.note_as(figures, work, "", measured);
    }

    fn note_as(&self, figures: &mut Figures, work: &str, how: &str, measured: &Measured) {
        let who = format!("{}{how}", self.who);
        let mut note =
            |what: &str, unit, value| figures.note(name(&format!("{work}{what}"), &who), unit, value);
        note("", Unit::PerSecond, measured.per_second);
        note(", p50", Unit::Nanoseconds, measured.p50);
        note(", p99", Unit::Nanoseconds, measured.p99);
        note(", processor time of the server", Unit::Nanoseconds, measured.server_time);
    }

    /// How many calls the entities have counted.
    fn received(&self, entities: usize) -> u64 {
        let counted = async {
            let mut asker = http::Asker::open(self.at).await;
            let mut sum = 0;
            for number in 0..entities {
                let body = asker.ask(&http::request(&key(number), r#""Received""#)).await;
                sum += body.parse::<u64>().expect("a sink says how many it received");
            }
            sum
        };
        node::small_runtime().block_on(counted)
    }

    /// Each answer of `measure` must have been counted by the entities.
    fn counted(&self, entities: usize, measure: impl FnOnce() -> Measured) -> Measured {
        let before = self.received(entities);
        let measured = measure();
        let counted = self.received(entities) - before;
        assert_eq!(counted, measured.answered, "every answered call was counted once by an entity");
        measured
    }
}

fn small_http(ours: &Server<'_>, bare: &Server<'_>, connections: usize, times: Times, figures: &mut Figures) {
    let work = format!("HTTP call, {}", counted(connections, "connection"));
    let measured = ours.counted(connections, || http::measure(ours.at, ours.process, connections, times));
    ours.note(figures, &work, &measured);
    bare.note(figures, &work, &http::measure(bare.at, bare.process, connections, times));
}

fn small_websocket(ours: &Server<'_>, bare: &Server<'_>, times: Times, figures: &mut Figures) {
    let work = format!("WebSocket call, {SOCKETS} connections × {IN_FLIGHT} in flight");
    let load = websocket::Load { connections: SOCKETS, in_flight: IN_FLIGHT, times };
    let measured =
        ours.counted(SOCKETS, || load.measure(ours.at, ours.process, "/v1/connect", websocket::REPLY));
    ours.note(figures, &work, &measured);
    for (how, path) in
        [(", flush per frame", axum_echo::PER_FRAME), (", flush when idle", axum_echo::TOGETHER)]
    {
        bare.note_as(figures, &work, how, &load.measure(bare.at, bare.process, path, websocket::ECHO));
    }
}

fn client_http(ours: &Server<'_>, bare: &Server<'_>, callers: usize, times: Times, figures: &mut Figures) {
    let work = format!("HTTP call by playhouse_client, {}", counted(callers, "connection"));
    let calls = |server: &Server<'_>| Calls { gateway: server.at, callers, times };
    let measured = ours.counted(callers, || calls(ours).over_http::<u64>(ours.process));
    ours.note(figures, &work, &measured);
    bare.note(figures, &work, &calls(bare).over_http::<crate::sink::Command>(bare.process));
}

/// The echo is no peer here: its answers are none that the client understands.
fn client_websocket(ours: &Server<'_>, times: Times, figures: &mut Figures) {
    let work = format!("WebSocket call by playhouse_client, {SOCKETS} connections × {IN_FLIGHT} in flight");
    let calls = Calls { gateway: ours.at, callers: SOCKETS, times };
    let measured = ours.counted(SOCKETS, || calls.over_websocket(ours.process, IN_FLIGHT));
    ours.note(figures, &work, &measured);
}

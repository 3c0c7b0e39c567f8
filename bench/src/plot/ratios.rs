//! Ratios: how many times better or worse than each peer a row is, as bars on both sides of 1.

use std::collections::BTreeSet;

use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Plot,
    axis::Axis,
    canvas::{self, Area, DRAWN, INK, PALE, colour, cut, write},
};
use crate::{
    Report, Unit,
    table::{figures, times},
};

const WIDTH: u32 = 960;
const BAR: i32 = 18;
/// Where bars may be.
const FIELD: (i32, i32) = (400, 780);
const HEAD: i32 = 78;
const FOOT: i32 = 16;
/// What has room at their left.
const LETTERS_MAX: usize = 62;
/// Fewer are seen in the table.
const BARS_MIN: usize = 2;

struct Bar {
    title: String,
    peer: String,
    ratio: f64,
    /// Whether it is the first of its row.
    is_first: bool,
}

/// A plot of all ratios of a report, if there are some. Curves have plots of their own, and counts have no ratio.
pub(super) fn ratios(report: &Report) -> Option<Plot> {
    let bars = bars(report);
    if bars.len() < BARS_MIN {
        return None;
    }
    let height = HEAD + FOOT + BAR * i32::try_from(bars.len()).ok()?;
    let svg = canvas::drawn((WIDTH, u32::try_from(height).ok()?), |area| draw(area, &bars, height));
    let caption = format!("How many times better than each peer: rows of {}", report.name());
    Some(Plot { file: super::file(&[report.name(), "ratios"]), caption, svg })
}

fn bars(report: &Report) -> Vec<Bar> {
    let all = figures(report);
    let own = all
        .iter()
        .filter(|figure| figure.is_ours() && figure.row.at.is_none() && figure.row.unit != Unit::Count);
    let bars = own.flat_map(|own| {
        let known = own.peers(&all).into_iter().filter_map(|peer| Some((peer, own.times_better(&peer)?)));
        let bars = known.enumerate().map(|(number, (peer, ratio))| Bar {
            title: own.title(),
            peer: peer.who.to_owned(),
            ratio,
            is_first: number == 0,
        });
        bars.collect::<Vec<_>>()
    });
    bars.collect()
}

fn draw(area: &Area<'_>, bars: &[Bar], height: i32) {
    write(
        area,
        "times better than the peer of the same run (left of 1: the peer is better)",
        (20, 20),
        18,
        HPos::Left,
    );
    let peers: BTreeSet<&str> = bars.iter().map(|bar| &*bar.peer).collect();
    let axis = Axis::of_ratios(&bars.iter().map(|bar| bar.ratio).collect::<Vec<_>>());
    let x = |ratio: f64| FIELD.0 + (axis.place(ratio) * f64::from(FIELD.1 - FIELD.0)).round() as i32;
    for tick in axis.ticks() {
        canvas::line(area, (x(*tick), HEAD - 8), (x(*tick), height - FOOT), PALE);
        write(area, &tick_text(*tick), (x(*tick), HEAD - 18), 12, HPos::Center);
    }
    for (number, bar) in bars.iter().enumerate() {
        let top = HEAD + BAR * i32::try_from(number).expect("few bars");
        draw_bar(area, bar, top, (x(1.0), x(bar.ratio)), peers.iter().position(|peer| *peer == bar.peer));
    }
    canvas::line(area, (x(1.0), HEAD - 8), (x(1.0), height - FOOT), INK);
}

fn draw_bar(area: &Area<'_>, bar: &Bar, top: i32, (one, end): (i32, i32), peer: Option<usize>) {
    let middle = top + BAR / 2;
    if bar.is_first {
        canvas::line(area, (20, top), (FIELD.1, top), PALE);
        write(area, &cut(&bar.title, LETTERS_MAX), (20, middle), 12, HPos::Left);
    }
    let style = colour(peer.unwrap_or_default() + 1).filled();
    let corners = [(one.min(end), top + 3), (one.max(end), top + BAR - 3)];
    area.draw(&Rectangle::new(corners, style)).expect(DRAWN);
    let text = format!("{} {}", bar.peer, times(Some(bar.ratio)));
    let (place, from) = if end >= one { (end + 6, HPos::Left) } else { (one + 6, HPos::Left) };
    write(area, &text, (place, middle), 12, from);
}

fn tick_text(tick: f64) -> String {
    times(Some(tick)).trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, around};

    fn report() -> Report {
        fixture::report(
            "processes",
            [
                around("cast; Playhouse", Unit::PerSecond, 10.0),
                around("cast; Erlang", Unit::PerSecond, 20.0),
                around("cast; tokio", Unit::PerSecond, 5.0),
                around("lost; Playhouse", Unit::Count, 1.0),
                around("lost; Erlang", Unit::Count, 1.0),
                around("curve; Playhouse", Unit::Bytes, 1.0).at("shards", 1.0),
                around("curve; Erlang", Unit::Bytes, 1.0).at("shards", 1.0),
            ],
        )
    }

    #[test]
    fn each_peer_is_a_bar_on_its_side_of_one() {
        let plot = ratios(&report()).unwrap();
        assert_eq!(plot.file, "processes-ratios.svg");
        for text in ["cast", "Erlang 0.50", "tokio 2.00"] {
            assert_eq!(plot.svg.matches(&format!("\n{text}\n")).count(), 1, "{text}: {}", plot.svg);
        }
        // The ground, and two bars.
        assert_eq!(plot.svg.matches("<rect").count(), 3);
        assert!(!plot.svg.contains("lost") && !plot.svg.contains("curve"));
        assert_eq!(Some(plot), ratios(&report()), "the same bytes");
    }

    #[test]
    fn without_peers_there_is_nothing_to_see() {
        assert_eq!(ratios(&fixture::report("a", [around("cast; Playhouse", Unit::Bytes, 1.0)])), None);
    }
}

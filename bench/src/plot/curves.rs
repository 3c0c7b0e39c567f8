//! Curves: how a figure changes while something grows. A line through the medians, a band from the smallest to the largest run.

use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    Plot,
    axis::Axis,
    canvas::{self, Area, DRAWN, PALE, colour, words, write},
};
use crate::{
    Report, Unit,
    figures::show,
    table::{Figure, OURS, figures},
};

const SIZE: (u32, u32) = (960, 480);
const LEGEND: u32 = 250;
const HEAD: u32 = 40;
/// What has room in the legend.
const LETTERS_MAX: usize = 32;

/// One work on one axis.
struct Curve<'a> {
    work: &'a str,
    axis: &'a str,
    unit: Unit,
    /// Who, and at each place smallest, median, largest.
    series: Vec<(&'a str, Vec<Point>)>,
}

struct Point {
    at: f64,
    min: f64,
    median: f64,
    max: f64,
}

/// One plot for each work that grows along an axis.
pub(super) fn curves(report: &Report) -> Vec<Plot> {
    let all = figures(report);
    let mut found: Vec<Curve<'_>> = Vec::new();
    for figure in &all {
        if let Some(at) = &figure.row.at {
            let is_same = |curve: &&mut Curve<'_>| {
                curve.work == figure.work && curve.axis == at.axis && curve.unit == figure.row.unit
            };
            match found.iter_mut().find(is_same) {
                Some(curve) => curve.add(figure, at.value),
                None => found.push(Curve::of(figure, &at.axis, at.value)),
            }
        }
    }
    // Ours first, in the order in which they were measured.
    found.iter_mut().for_each(|curve| curve.series.sort_by_key(|(who, _)| !who.starts_with(OURS)));
    found.iter().map(|curve| curve.plot(report.name())).collect()
}

impl<'a> Curve<'a> {
    fn of(figure: &Figure<'a>, axis: &'a str, at: f64) -> Self {
        let mut curve = Self { work: figure.work, axis, unit: figure.row.unit, series: Vec::new() };
        curve.add(figure, at);
        curve
    }

    fn add(&mut self, figure: &Figure<'a>, at: f64) {
        let crate::Summary { min, median, max, .. } = figure.row.summary;
        let point = Point { at, min, median, max };
        match self.series.iter_mut().find(|(who, _)| *who == figure.who) {
            Some((_, points)) => points.push(point),
            None => self.series.push((figure.who, vec![point])),
        }
        self.series.iter_mut().for_each(|(_, points)| points.sort_by(|a, b| a.at.total_cmp(&b.at)));
    }

    fn plot(&self, group: &str) -> Plot {
        let whos: Vec<_> = self.series.iter().map(|(who, _)| *who).collect();
        let caption = format!("{} by {}: {}", self.work, self.axis, whos.join(", "));
        Plot {
            file: super::file(&[group, self.work, "by", self.axis]),
            caption,
            svg: canvas::drawn(SIZE, |area| self.draw(area)),
        }
    }

    fn draw(&self, area: &Area<'_>) {
        write(area, &format!("{} by {}", self.work, self.axis), (20, 22), 20, HPos::Left);
        let (_, below) = area.split_vertically(HEAD);
        let (field, legend) = below.split_horizontally(SIZE.0 - LEGEND);
        self.draw_field(&field);
        for (number, (who, _)) in self.series.iter().enumerate() {
            let y = 20 + 22 * i32::try_from(number).expect("few lines");
            canvas::line(&legend, (4, y), (28, y), colour(number).stroke_width(3));
            write(&legend, &canvas::cut(who, LETTERS_MAX), (36, y), 14, HPos::Left);
        }
    }

    fn draw_field(&self, field: &Area<'_>) {
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let places: Vec<_> = points().map(|point| point.at).collect();
        let values: Vec<_> = points().flat_map(|point| [point.min, point.max]).collect();
        let mut builder = ChartBuilder::on(field);
        builder.margin(12).margin_right(24).x_label_area_size(48).y_label_area_size(96);
        let mut chart =
            builder.build_cartesian_2d(Axis::of_places(&places), Axis::of_values(&values)).expect(DRAWN);
        chart
            .configure_mesh()
            .x_desc(self.axis)
            .y_desc(unit(self.unit))
            .x_label_formatter(&|at| short(*at, self.axis))
            .y_label_formatter(&|value| show(self.unit, *value))
            .label_style(words(14))
            .axis_desc_style(words(15))
            .bold_line_style(PALE)
            .light_line_style(TRANSPARENT)
            .draw()
            .expect(DRAWN);
        for (number, (_, points)) in self.series.iter().enumerate() {
            let colour = colour(number);
            let band = points.iter().map(|point| (point.at, point.max));
            let band = band.chain(points.iter().rev().map(|point| (point.at, point.min)));
            chart.draw_series([Polygon::new(band.collect::<Vec<_>>(), colour.mix(0.15))]).expect(DRAWN);
            // Also seen where a curve has one point only.
            let spans = points.iter().map(|point| {
                PathElement::new(vec![(point.at, point.min), (point.at, point.max)], colour.mix(0.6))
            });
            chart.draw_series(spans).expect(DRAWN);
            let medians = || points.iter().map(|point| (point.at, point.median));
            chart.draw_series(LineSeries::new(medians(), colour.stroke_width(2))).expect(DRAWN);
            chart.draw_series(medians().map(|at| Circle::new(at, 4, colour.filled()))).expect(DRAWN);
        }
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::PerSecond => "per second (more is better)",
        Unit::Nanoseconds => "time (less is better)",
        Unit::Bytes => "bytes (less is better)",
        Unit::Count => "count (less is better)",
        Unit::Percent => "% (less is better)",
    }
}

/// `1 K` and `1 M` of things, `1 KiB` and `1 MiB` of bytes, where nothing is rounded away.
fn short(at: f64, axis: &str) -> String {
    let is_bytes = axis.contains("bytes");
    let steps: [(f64, &str); 2] =
        if is_bytes { [(1_048_576.0, "MiB"), (1_024.0, "KiB")] } else { [(1e6, "M"), (1e3, "K")] };
    let step = steps.into_iter().find(|(step, _)| at >= *step && at % step == 0.0);
    step.map_or_else(|| at.to_string(), |(step, name)| format!("{} {name}", at / step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, around};

    fn report() -> Report {
        let at = |who: &str, shards, median| {
            around(&format!("cast; {who}"), Unit::PerSecond, median).at("shards", shards)
        };
        let rows = [
            at("Erlang & <co>", 16.0, 500.0),
            at("Playhouse", 64.0, 2_000.0),
            at("Playhouse", 16.0, 1_000.0),
            at("Playhouse", 1024.0, 900_000.0),
            around("call; Playhouse", Unit::PerSecond, 1.0),
        ];
        fixture::report("scale", rows)
    }

    #[test]
    fn all_peers_of_a_work_are_in_one_plot() {
        let plots = curves(&report());
        let [plot] = &plots[..] else { panic!("one curve, not {}", plots.len()) };
        assert_eq!(plot.file, "scale-cast-by-shards.svg");
        assert_eq!(plot.caption, "cast by shards: Playhouse, Erlang & <co>");
        let svg = &plot.svg;
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 4, "a circle for each median");
        assert_eq!(svg.matches("<polygon").count(), 2, "a band for each series");
        for text in
            ["cast by shards", "Playhouse", "Erlang &amp; &lt;co&gt;", "1024", "per second (more is better)"]
        {
            assert!(svg.contains(&format!("\n{text}\n")), "{text}: {svg}");
        }
        assert!(svg.contains("\n1.00 M/s\n"), "a logarithmic axis names round values: {svg}");
    }

    #[test]
    fn the_same_report_gives_the_same_bytes() {
        assert_eq!(curves(&report()), curves(&report()));
    }

    #[test]
    fn larger_places_are_further_to_the_right() {
        let svg = &curves(&report())[0].svg;
        let of_ours = "#0072B2";
        let circles = svg.lines().filter(|line| line.starts_with("<circle") && line.contains(of_ours));
        let number = |line: &str, name: &str| -> i32 {
            let (_, behind) = line.split_once(&format!("{name}=\"")).unwrap();
            behind.split_once('"').unwrap().0.parse().unwrap()
        };
        let places: Vec<_> = circles.map(|line| (number(line, "cx"), number(line, "cy"))).collect();
        assert_eq!(places.len(), 3);
        assert!(places.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1), "right and up: {places:?}");
    }

    #[test]
    fn places_are_short_where_nothing_is_lost() {
        let shown = [1_024.0, 1_048_576.0, 16.0].map(|at| short(at, "payload, bytes"));
        assert_eq!(shown, ["1 KiB", "1 MiB", "16"]);
        let shown = [1_024.0, 10_000_000.0, 1_000.0].map(|at| short(at, "entities"));
        assert_eq!(shown, ["1024", "10 M", "1 K"]);
    }
}

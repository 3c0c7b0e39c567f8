//! Plots of a page, made from a report: a curve for each work that grows along an axis, bars for the ratios to peers.
//!
//! Comes in: a report. Leaves: SVG files, the same bytes for the same report. They have a light ground of their own, so that they can be
//! read on a dark page, too.

mod axis;
mod canvas;
mod curves;
mod ratios;

use crate::Report;

/// A file of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    /// Its name.
    pub file: String,
    /// What it shows, for those who cannot see it.
    pub caption: String,
    /// What it is.
    pub svg: String,
}

/// All plots of a report: one for each work that is a curve, and one of all its ratios.
#[must_use]
pub fn plots(report: &Report) -> Vec<Plot> {
    let mut all = curves::curves(report);
    all.extend(ratios::ratios(report));
    all
}

/// A name for a file: small letters, digits and hyphens.
fn file(parts: &[&str]) -> String {
    let text = parts.join("-").to_lowercase();
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-") + ".svg"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_hold_no_odd_letters() {
        assert_eq!(file(&["scale", "remote cast, 16 B; p99"]), "scale-remote-cast-16-b-p99.svg");
    }
}

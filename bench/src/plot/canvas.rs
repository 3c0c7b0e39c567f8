//! What all plots share: ground, words, colours.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// What is drawn on.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A string takes all that is drawn.
pub(super) const DRAWN: &str = "a string takes all";
pub(super) const INK: RGBColor = RGBColor(36, 41, 47);
pub(super) const PALE: RGBColor = RGBColor(216, 222, 228);
const GROUND: RGBColor = RGBColor(255, 255, 255);
/// Ours first. Eight that people with any kind of colour vision can tell apart: those of Okabe and Ito, their yellow left out for the
/// white ground.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(120, 120, 120),
];

/// Draws on a ground of this size, and returns the file.
pub(super) fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>)) -> String {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    area.fill(&GROUND).expect(DRAWN);
    draw(&area);
    area.present().expect(DRAWN);
    drop(area);
    svg
}

/// The colour of the series with this number.
pub(super) fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

/// Writes a line.
pub(super) fn write(area: &Area<'_>, text: &str, place: (i32, i32), size: i32, from: HPos) {
    let style = words(size).pos(Pos::new(from, VPos::Center));
    area.draw(&Text::new(text.to_owned(), place, style)).expect(DRAWN);
}

/// How words look.
pub(super) fn words(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_text_style(&(1, 1)).color(&INK)
}

/// Draws a line.
pub(super) fn line(area: &Area<'_>, from: (i32, i32), to: (i32, i32), style: impl Into<ShapeStyle>) {
    area.draw(&PathElement::new(vec![from, to], style)).expect(DRAWN);
}

/// Long words lose their middle: what distinguishes rows is often at their end.
pub(super) fn cut(text: &str, letters_max: usize) -> String {
    const TAIL: usize = 14;
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= letters_max {
        return text.to_owned();
    }
    let (head, tail) = (&letters[..letters_max - TAIL - 1], &letters[letters.len() - TAIL..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_in_their_middle() {
        assert_eq!(cut("short", 20), "short");
        assert_eq!(cut("register a name of three nodes, 64 callers", 20), "regis…es, 64 callers");
        assert_eq!(cut(&"ä".repeat(100), 20).chars().count(), 20);
    }
}

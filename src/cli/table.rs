//! Columns for people.

/// Rows under a heading, each column as wide as its widest cell.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    heading: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(heading: [&'static str; N]) -> Self {
        Self { heading, rows: Vec::new() }
    }

    pub(super) fn push(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// The heading line and the lines below it.
    pub(super) fn lines(&self) -> (String, Vec<String>) {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.heading[column].len()]).max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let heading = join(self.heading.iter().copied(), &widths);
        let rows = self.rows.iter().map(|row| join(row.iter().map(String::as_str), &widths));
        (heading, rows.collect())
    }
}

fn join<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let padded: Vec<String> = cells.zip(widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["KEY", "REVISION"]);
        table.push(["visits".into(), "7".into()]);
        table.push(["é".into(), "12".into()]);
        let (heading, rows) = table.lines();
        assert_eq!(heading, "KEY     REVISION");
        assert_eq!(rows, ["visits  7", "é       12"]);
    }
}

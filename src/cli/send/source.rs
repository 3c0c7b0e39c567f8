//! Lines of a file, however long the file is.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The longest line, in bytes. The server takes commands up to 1 MiB; this leaves room for escapes.
pub(super) const LINE_BYTES_MAX: usize = 4 << 20;

/// A line as it stands in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawLine {
    /// Counting from 1.
    pub(super) number: u64,
    /// Without the line break; the first [`LINE_BYTES_MAX`] bytes of it.
    pub(super) bytes: Vec<u8>,
    /// Whether there was more than that.
    pub(super) cut: bool,
}

/// Reads line by line, keeping at most one.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    number: u64,
    bytes_read: u64,
    /// The beginning of a line whose end is not read yet. Kept here so that a read can be given up half-way.
    partial: Vec<u8>,
    cut: bool,
    /// Whether anything of the current line was read, be it only its line break.
    begun: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, number: 0, bytes_read: 0, partial: Vec::new(), cut: false, begun: false }
    }

    /// How far the file was read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// How many lines were read.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, or `None` at the end. Nothing is lost when it is dropped half-way.
    pub(super) async fn next(&mut self) -> io::Result<Option<RawLine>> {
        loop {
            let chunk = self.input.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(self.begun.then(|| self.finish()));
            }
            let line_break = chunk.iter().position(|&byte| byte == b'\n');
            let end = line_break.unwrap_or(chunk.len());
            let room = LINE_BYTES_MAX.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&chunk[..end.min(room)]);
            self.cut |= end > room;
            self.begun = true;
            let consumed = end + usize::from(line_break.is_some());
            self.input.consume(consumed);
            self.bytes_read += consumed as u64;
            if line_break.is_some() {
                return Ok(Some(self.finish()));
            }
        }
    }

    fn finish(&mut self) -> RawLine {
        self.number += 1;
        self.begun = false;
        let cut = std::mem::take(&mut self.cut);
        RawLine { number: self.number, bytes: std::mem::take(&mut self.partial), cut }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    async fn read(text: &[u8], buffer: usize) -> Vec<(u64, String, bool)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, text));
        let mut read = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            read.push((line.number, String::from_utf8(line.bytes).unwrap(), line.cut));
        }
        assert_eq!(lines.bytes_read(), text.len() as u64);
        read
    }

    fn line(number: u64, text: &str) -> (u64, String, bool) {
        (number, text.to_owned(), false)
    }

    #[tokio::test]
    async fn lines_are_the_same_whatever_the_buffer() {
        for buffer in [1, 2, 3, 100] {
            let read = read(b"one\n\nthree\nfour", buffer).await;
            assert_eq!(read, [line(1, "one"), line(2, ""), line(3, "three"), line(4, "four")]);
        }
        assert!(read(b"", 10).await.is_empty());
        assert_eq!(read(b"\n", 10).await, [line(1, "")]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_cut_and_the_next_one_is_found() {
        let mut text = vec![b'x'; LINE_BYTES_MAX + 5];
        text.extend_from_slice(b"\nnext\n");
        let read = read(&text, 1 << 16).await;
        assert_eq!(read[0].1.len(), LINE_BYTES_MAX);
        assert!(read[0].2);
        assert_eq!(read[1], line(2, "next"));
    }
}

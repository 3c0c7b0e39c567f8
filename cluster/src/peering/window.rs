//! A buffer that is filled at its end and consumed at its beginning.

/// How much larger than usual a buffer may stay: giving it back after each large frame would cost more than keeping it.
const KEEP_TIMES: usize = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    usual: usize,
}

impl Window {
    /// `usual` bytes long, unless something larger must be held for a while.
    pub(super) fn new(usual: usize) -> Self {
        Self { bytes: vec![0; usual], start: 0, end: 0, usual }
    }

    /// What was filled and not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Room for at least `bytes_min` more. Grows by doubling, so by no more than what was really received.
    pub(super) fn space(&mut self, bytes_min: usize) -> &mut [u8] {
        if self.bytes.len() - self.end < bytes_min {
            self.make_room(bytes_min);
        }
        &mut self.bytes[self.end..]
    }

    /// The first `bytes` of the space hold something now.
    pub(super) fn filled(&mut self, bytes: usize) {
        self.end += bytes;
        debug_assert!(self.end <= self.bytes.len());
    }

    /// The first `bytes` are not needed any more.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEEP_TIMES * self.usual {
                self.bytes = vec![0; self.usual];
            }
        }
    }

    fn make_room(&mut self, bytes_min: usize) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let wanted = self.end + bytes_min;
        if wanted > self.bytes.len() {
            self.bytes.resize(wanted.max(self.bytes.len() * 2), 0);
        }
    }
}

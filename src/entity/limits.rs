//! How large things may be.

/// How large things may be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Encoded state of one entity, in bytes.
    pub state_bytes_max: usize,
    /// Encoded reply, in bytes.
    pub reply_bytes_max: usize,
    /// Everything that one command puts into a proposal, in bytes.
    pub effects_bytes_max: usize,
    /// How many casts one command may state.
    pub casts_max: usize,
    /// An event-sourced entity writes an image when the events since the last one have this many bytes, and at
    /// least as many as that image.
    pub image_every_bytes: usize,
    /// More crashes than this within [`crash_window_ms`](Self::crash_window_ms) quarantine the entity.
    pub crashes_max: u32,
    /// See [`crashes_max`](Self::crashes_max).
    pub crash_window_ms: u64,
    /// For how long a quarantined entity refuses commands.
    pub quarantine_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            state_bytes_max: 1 << 20,
            reply_bytes_max: 1 << 20,
            effects_bytes_max: 4 << 20,
            casts_max: 1_000,
            image_every_bytes: 64 << 10,
            crashes_max: 3,
            crash_window_ms: 10_000,
            quarantine_ms: 30_000,
        }
    }
}

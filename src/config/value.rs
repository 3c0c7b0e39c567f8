//! Types of values: how they are read, shown, and explained.

use std::{
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

use super::{duration, size::ByteSize};

/// Something that can stand in a configuration.
pub(super) trait Value: Sized {
    /// What may be written, as the end of a sentence.
    const ALLOWED: &'static str;

    fn parse(text: &str) -> Option<Self>;

    /// As [`parse`](Self::parse) reads it.
    fn show(&self) -> String;
}

/// Makes values of types that know how to read and show themselves.
macro_rules! plain {
    ($($type:ty: $allowed:literal;)*) => {$(
        impl Value for $type {
            const ALLOWED: &'static str = $allowed;
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

plain! {
    SocketAddr: "an address with a port, such as 0.0.0.0:8080 or [::]:8080";
    NonZeroU16: "a number from 1 to 65535";
    NonZeroU32: "a number from 1 to 4294967295";
}

impl Value for String {
    const ALLOWED: &'static str = "a text that is not empty";
    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.to_owned())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    const ALLOWED: &'static str = "a path";
    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Duration {
    const ALLOWED: &'static str = "a duration above 0 with its unit, such as 250ms, 10s, 1m30s or 2h";
    fn parse(text: &str) -> Option<Self> {
        duration::parse(text)
    }
    fn show(&self) -> String {
        duration::show(*self)
    }
}

impl Value for ByteSize {
    const ALLOWED: &'static str = "a size above 0, such as 4096, 512KiB, 64MiB or 1.5GiB";
    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).filter(|size| size.0 > 0)
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// Unset is written as an empty text.
impl<T: Value> Value for Option<T> {
    const ALLOWED: &'static str = T::ALLOWED;
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::parse(text).map(Some) }
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }
}

/// A part of a whole, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Value for Share {
    const ALLOWED: &'static str = "a number from 0 to 1";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).map(Self)
    }
    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// Makes an enum whose variants are written as words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $allowed:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl Value for $name {
            const ALLOWED: &'static str = $allowed;
            fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)* _ => None }
            }
            fn show(&self) -> String {
                match self { $(Self::$variant => $word,)* }.to_owned()
            }
        }
    };
}

words! {
    /// Where state is kept.
    Engine: "fjall, sled or memory" {
        /// An LSM tree on disk.
        Fjall = "fjall",
        /// A B-link tree on disk. Not durable against power loss on Linux.
        Sled = "sled",
        /// Nowhere: everything is lost when the process ends.
        Memory = "memory",
    }
}

words! {
    /// How log lines look.
    LogFormat: "auto, json or human" {
        /// `human` when stderr is a terminal, else `json`.
        Auto = "auto",
        /// One JSON object per line.
        Json = "json",
        /// Text for people.
        Human = "human",
    }
}

words! {
    /// Whether links between nodes are encrypted.
    Encryption: "on or off" {
        /// Nobody on the way can read or change anything.
        On = "on",
        /// The cookie is proved, but who is on the way can read and change everything.
        Off = "off",
    }
}

words! {
    /// Whether something is there.
    Switch: "on or off" {
        /// It is.
        On = "on",
        /// It is not.
        Off = "off",
    }
}

words! {
    /// How many replicas a shard has.
    ReplicationFactor: "1, 3 or 5" {
        /// No copy.
        One = "1",
        /// One may be lost.
        Three = "3",
        /// Two may be lost.
        Five = "5",
    }
}

impl ReplicationFactor {
    /// As a number.
    #[must_use]
    pub fn get(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Three => 3,
            Self::Five => 5,
        }
    }
}

words! {
    /// Which part of a rollout a node is.
    Track: "stable, canary, blue or green" {
        /// What serves.
        Stable = "stable",
        /// What is tried with a share of the traffic.
        Canary = "canary",
        /// One of two that take turns.
        Blue = "blue",
        /// The other one.
        Green = "green",
    }
}

impl Track {
    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        self.show()
    }
}

/// A number that names something for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub u128);

impl Value for Id {
    const ALLOWED: &'static str = "32 hexadecimal digits";
    fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits { u128::from_str_radix(text, 16).ok().map(Self) } else { None }
    }
    fn show(&self) -> String {
        format!("{:032x}", self.0)
    }
}

/// Which log lines are written, such as `info` or `warn,playhouse=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for LogFilter {
    const ALLOWED: &'static str =
        "off, error, warn, info, debug or trace, or a list such as warn,playhouse=debug";
    fn parse(text: &str) -> Option<Self> {
        let level = |part: &str| matches!(part, "off" | "error" | "warn" | "info" | "debug" | "trace");
        let fine = |part: &str| match part.split_once('=') {
            Some((target, word)) => !target.is_empty() && level(word),
            None => level(part),
        };
        text.split(',').all(fine).then(|| Self(text.to_owned()))
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

//! What is sent: JSON with places for the number of the request. Pure.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// In a message, this is replaced by the number of the request.
pub const NUMBER: &str = "{{n}}";

/// The largest message, in bytes; a gateway takes no larger command unless it is told to.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How many messages may take turns.
const MESSAGES_MAX: usize = 64;

/// For each kind that ships: what load can send for ever, without being refused and without growing the entity.
const DEFAULTS: [(&str, &[&str]); 6] = [
    ("counter", &[r#"{"add":1}"#]),
    ("document", &[r#"{"put":{"value":{"number":{{n}}}}}"#]),
    ("lease", &[r#"{"acquire":{"owner":"playhouse-bench","ttl_ms":1000}}"#]),
    ("limiter", &[r#"{"take":{"tokens":1,"capacity":1000000,"refill_per_second":1000000}}"#]),
    ("queue", &[r#"{"push":{"item":{{n}}}}"#, r#"{"purge":{"what":"waiting"}}"#]),
    ("room", &[r#"{"publish":{"item":{{n}}}}"#]),
];

/// Why something is no message. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is not JSON, also with a number in its places.
    #[error("the message {text} is not JSON: {reason}; quote it for the shell, such as '{{\"add\": 1}}'")]
    NotJson {
        /// The message.
        text: String,
        /// What the parser says.
        reason: String,
    },
    /// A gateway would not take it.
    #[error("a message has {bytes} bytes, at most {MESSAGE_BYTES_MAX} are sent")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// There are too many to take turns, or none.
    #[error("{0} messages were given, 1 to {MESSAGES_MAX} can take turns")]
    Count(usize),
    /// Only the kinds that ship have a message of their own.
    #[error(
        "there is no message for the kind {0}: give one with --message JSON (`playhouse kinds` shows examples)"
    )]
    NoDefault(String),
}

/// Messages that take turns on each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages(Vec<Message>);

#[derive(Clone, Debug)]
enum Message {
    /// The same each time: nothing is made for a request.
    Constant(Box<RawValue>),
    /// The text between the places for the number.
    Numbered(Vec<String>),
}

impl Messages {
    /// These messages in turn.
    ///
    /// # Errors
    ///
    /// [`MessageError`].
    pub fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, MessageError> {
        let messages: Vec<_> =
            texts.into_iter().map(|text| Message::new(text.as_ref())).collect::<Result<_, _>>()?;
        match messages.len() {
            1..=MESSAGES_MAX => Ok(Self(messages)),
            count => Err(MessageError::Count(count)),
        }
    }

    /// What a kind that ships can be sent for ever.
    ///
    /// # Errors
    ///
    /// [`MessageError::NoDefault`] for every other kind.
    pub fn default_of(kind: &str) -> Result<Self, MessageError> {
        let found = DEFAULTS.iter().find(|(name, _)| *name == kind);
        Self::new(found.ok_or_else(|| MessageError::NoDefault(kind.to_owned()))?.1)
    }

    /// The message of a request: each turn is one pass over all keys, so that every key gets each message.
    #[must_use]
    pub fn of(&self, number: u64, keys: u64) -> Cow<'_, RawValue> {
        let turn = (number / keys.max(1)) % self.0.len() as u64;
        let message = &self.0[usize::try_from(turn).expect("it is below a length")];
        message.with(number).expect("it was checked, and a number for a number is still JSON")
    }

    /// As they were given.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(|message| message.text().into_owned()).collect()
    }
}

impl Message {
    fn new(text: &str) -> Result<Self, MessageError> {
        if text.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLarge { bytes: text.len() });
        }
        Self::parse(text.trim()).map_err(|error| MessageError::NotJson {
            text: text.chars().take(80).collect(),
            reason: error.to_string(),
        })
    }

    fn parse(text: &str) -> serde_json::Result<Self> {
        if !text.contains(NUMBER) {
            return RawValue::from_string(text.to_owned()).map(Self::Constant);
        }
        let message = Self::Numbered(text.split(NUMBER).map(str::to_owned).collect());
        // The largest number: what follows a digit or stands in a string stays JSON with a smaller one.
        for number in [0, u64::MAX] {
            message.with(number)?;
        }
        Ok(message)
    }

    fn with(&self, number: u64) -> serde_json::Result<Cow<'_, RawValue>> {
        match self {
            Self::Constant(json) => Ok(Cow::Borrowed(json)),
            Self::Numbered(parts) => RawValue::from_string(parts.join(&number.to_string())).map(Cow::Owned),
        }
    }

    /// As it was given.
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Constant(json) => Cow::Borrowed(json.get()),
            Self::Numbered(parts) => Cow::Owned(parts.join(NUMBER)),
        }
    }
}

/// JSON as it is written cannot be compared, its text can.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Message {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_take_turns_on_each_key() {
        let messages = Messages::new([r#"{"push":{"item":{{n}}}}"#, r#"{"purge":{}}"#]).unwrap();
        let sent: Vec<_> = (0..4).map(|number| messages.of(number, 2).get().to_owned()).collect();
        assert_eq!(
            sent,
            [r#"{"push":{"item":0}}"#, r#"{"push":{"item":1}}"#, r#"{"purge":{}}"#, r#"{"purge":{}}"#]
        );
    }

    #[test]
    fn a_message_without_a_number_is_made_once() {
        let messages = Messages::new([r#"{"add":1}"#, r#"{"add":{{n}}}"#]).unwrap();
        assert!(matches!(messages.of(0, 1), Cow::Borrowed(_)));
        assert!(matches!(messages.of(1, 1), Cow::Owned(_)));
        assert_eq!(messages, messages.clone());
        assert_ne!(messages, Messages::new([r#"{"add":1}"#, r#"{"add":2}"#]).unwrap());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(matches!(Messages::new(["{add: 1}"]), Err(MessageError::NotJson { .. })));
        // JSON has no number with a zero before it.
        assert!(matches!(Messages::new([r#"{"add":1{{n}}.}"#]), Err(MessageError::NotJson { .. })));
        assert_eq!(Messages::new(["0{{n}}"]).map_err(|_| ()), Err(()));
        assert_eq!(Messages::new::<&str>([]), Err(MessageError::Count(0)));
        let large = format!("\"{}\"", "x".repeat(MESSAGE_BYTES_MAX));
        assert!(matches!(Messages::new([large]), Err(MessageError::TooLarge { .. })));
        assert_eq!(Messages::default_of("invoice"), Err(MessageError::NoDefault("invoice".into())));
    }

    proptest! {
        #[test]
        fn a_number_is_put_into_each_of_its_places(number: u64, places in 0usize..5) {
            let text = format!("[{}]", vec![NUMBER; places].join(","));
            let message = Messages::new([&text]).unwrap();
            let sent: Vec<u64> = serde_json::from_str(message.of(number, 1).get()).unwrap();
            prop_assert_eq!(sent, vec![number; places]);
            prop_assert_eq!(message.texts(), [text]);
        }
    }
}

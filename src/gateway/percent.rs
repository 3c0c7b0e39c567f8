//! Percent-encoding, read strictly: what is not well-formed is refused, not guessed.

/// Why a text is not percent-encoded UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PercentError {
    #[error("a % is not followed by two hexadecimal digits")]
    Digits,
    #[error("it is not UTF-8")]
    Utf8,
}

/// Reads a segment of a path.
pub(super) fn decode(text: &str) -> Result<String, PercentError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' { escaped(&mut rest).ok_or(PercentError::Digits)? } else { byte });
    }
    String::from_utf8(bytes).map_err(|_| PercentError::Utf8)
}

/// Reads a name or value of a query, where `+` is a space.
pub(super) fn decode_query(text: &str) -> Result<String, PercentError> {
    decode(&text.replace('+', " "))
}

fn escaped(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || char::from(rest.next()?).to_digit(16);
    let (high, low) = (digit()?, digit()?);
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_formed_is_refused() {
        assert_eq!(decode("a%2Fb%c3%a4").as_deref(), Ok("a/bä"));
        for broken in ["%", "%2", "%zz", "a%+1"] {
            assert_eq!(decode(broken), Err(PercentError::Digits), "{broken}");
        }
        assert_eq!(decode("%ff"), Err(PercentError::Utf8));
    }

    #[test]
    fn a_plus_is_a_space_only_in_a_query() {
        assert_eq!(decode("a+b").as_deref(), Ok("a+b"));
        assert_eq!(decode_query("a+b%2B").as_deref(), Ok("a b+"));
    }
}

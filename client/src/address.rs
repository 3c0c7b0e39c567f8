//! Where a gateway is.

use std::{fmt, str::FromStr};

use hyper::Uri;

/// An address that cannot be used. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is not a URL like `http://host:port`.
    #[error("{0:?} is not an address of the form http://host:port")]
    Malformed(String),
    /// `https` needs the crate feature `tls`.
    #[error("{0:?} needs TLS, which this program was built without (crate feature `tls`)")]
    NoTls(String),
    /// Names, passwords, queries and fragments have no place in it.
    #[error("{0:?} holds more than scheme, host, port and path; give a token by file")]
    Extra(String),
}

/// The base URL of a gateway, such as `http://127.0.0.1:8080`, perhaps with a path before `/v1`.
///
/// ```
/// use playhouse_client::Address;
///
/// let address: Address = "http://playhouse:8080/".parse().unwrap();
/// assert_eq!(address.to_string(), "http://playhouse:8080");
/// assert!("playhouse:8080".parse::<Address>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Without a slash at the end.
    base: String,
    secure: bool,
}

impl Address {
    /// The same host, at another port and without a path: where the ops port of a gateway's node is, for example.
    ///
    /// ```
    /// use playhouse_client::Address;
    ///
    /// let gateway: Address = "http://[::1]:8080/play".parse().unwrap();
    /// assert_eq!(gateway.with_port(9090).to_string(), "http://[::1]:9090");
    /// ```
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        let uri: Uri = self.base.parse().expect("an address is a URL");
        let (scheme, host) = (uri.scheme_str().unwrap_or("http"), uri.host().unwrap_or_default());
        Self { base: format!("{scheme}://{host}:{port}"), secure: self.secure }
    }

    /// The URL of `path` (which begins with a slash) below this address.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// As [`join`](Self::join), with the scheme of WebSocket.
    pub(crate) fn join_websocket(&self, path: &str) -> String {
        let rest = self.base.split_once("://").map_or("", |(_, rest)| rest);
        format!("{}://{rest}{path}", if self.secure { "wss" } else { "ws" })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let malformed = || AddressError::Malformed(hide_userinfo(text));
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") if cfg!(feature = "tls") => true,
            Some("https") => return Err(AddressError::NoTls(hide_userinfo(text))),
            _ => return Err(malformed()),
        };
        let authority = uri.authority().ok_or_else(malformed)?;
        if authority.host().is_empty() {
            return Err(malformed());
        }
        if authority.as_str().contains('@') || uri.query().is_some() || text.contains('#') {
            return Err(AddressError::Extra(hide_userinfo(text)));
        }
        let scheme = if secure { "https" } else { "http" };
        let base = format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/'));
        Ok(Self { base, secure })
    }
}

/// A password typed into an address must not reach a log.
fn hide_userinfo(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => text.to_owned(),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_before_the_api_is_kept() {
        let address: Address = "http://gate.example/play/".parse().unwrap();
        assert_eq!(address.join("/v1/kinds"), "http://gate.example/play/v1/kinds");
        assert_eq!(address.join_websocket("/v1/connect"), "ws://gate.example/play/v1/connect");
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in
            ["", "localhost", "localhost:8080", "ftp://host", "http://", "http://h?q=1", "http://h/#x"]
        {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        let error = "http://me:secret@host".parse::<Address>().unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

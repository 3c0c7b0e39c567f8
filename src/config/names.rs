//! Names and addresses of other nodes, one or several.

use super::value::Value;

/// Longest name of DNS.
const HOST_NAME_BYTES_MAX: usize = 253;

/// Names of nodes, each once, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl Value for Names {
    const ALLOWED: &'static str =
        "names separated by commas, each once, such as playhouse-0,playhouse-1,playhouse-2";
    fn parse(text: &str) -> Option<Self> {
        let is_name = |part: &str| part.chars().all(|letter| !letter.is_whitespace() && !letter.is_control());
        list(text, is_name).map(Self)
    }
    fn show(&self) -> String {
        self.0.join(",")
    }
}

/// Addresses of nodes, each as `host:port`, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<String>);

impl Addresses {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl Value for Addresses {
    const ALLOWED: &'static str = "addresses with ports separated by commas, each once, such as playhouse-0:4370,10.0.0.2:4370,[fd00::1]:4370";
    fn parse(text: &str) -> Option<Self> {
        list(text, is_address).map(Self)
    }
    fn show(&self) -> String {
        self.0.join(",")
    }
}

/// A name that DNS may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for HostName {
    const ALLOWED: &'static str =
        "a name of DNS without a port, such as playhouse-peers or peers.example.com";
    fn parse(text: &str) -> Option<Self> {
        is_host_name(text).then(|| Self(text.to_owned()))
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

fn list(text: &str, is_allowed: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
        if part.is_empty() || !is_allowed(part) || found.iter().any(|other| other == part) {
            return None;
        }
        found.push(part.to_owned());
    }
    Some(found)
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let has_host = match bare {
        Some(six) => six.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    has_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    let relative = text.strip_suffix('.').unwrap_or(text);
    relative.len() <= HOST_NAME_BYTES_MAX && relative.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_separated_by_commas() {
        assert_eq!(Names::parse(""), Some(Names::default()));
        assert_eq!(Names::parse("a, b ,c").unwrap().as_slice(), ["a", "b", "c"]);
        for text in [",", "a,", "a,,b", "a,b,a", "a b", "a\nb"] {
            assert_eq!(Names::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for text in ["", "a:1", "a.b.example.:4370", "10.0.0.1:65535,[::1]:1", "a:1, b:1"] {
            assert!(Addresses::parse(text).is_some(), "{text:?}");
        }
        for text in ["a", "a:", ":1", "a:0", "a:65536", "::1:1", "[a]:1", "http://a:1", "a:1,a:1", "a b:1"] {
            assert_eq!(Addresses::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_host_name_has_no_port_and_is_no_url() {
        for text in ["a", "peers.example.com", "peers.example.com.", "_peer._tcp.a-b", "10.0.0.1"] {
            assert!(HostName::parse(text).is_some(), "{text:?}");
        }
        let long = "a.".repeat(127);
        for text in ["", ".", "a..b", "a:1", "http://a", "a b", &"a".repeat(64), &format!("{long}aaa")] {
            assert_eq!(HostName::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let names = Names::parse("a,b").unwrap();
        assert_eq!(Names::parse(&names.show()), Some(names));
        let addresses = Addresses::parse("a:1,[::1]:2").unwrap();
        assert_eq!(Addresses::parse(&addresses.show()), Some(addresses));
    }
}

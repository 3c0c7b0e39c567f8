//! The query of a list.

use super::{code::Code, percent, problem::Problem};
use crate::protocol::{Key, KindName, ListQuery};

/// What a list may be asked, each at most once.
const NAMES: [&str; 3] = ["prefix", "after", "limit"];
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;
/// A suggestion must be at least this similar.
const SIMILARITY_MIN: f64 = 0.7;

/// Reads `prefix=&after=&limit=`. Unknown names are refused: a misspelt one would silently list everything.
pub(super) fn list_query(kind: KindName, raw: Option<&str>) -> Result<ListQuery, Problem> {
    let mut query = ListQuery { kind, prefix: String::new(), after: None, limit: LIMIT_DEFAULT };
    let mut seen = Vec::new();
    for pair in raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if seen.contains(&name) {
            return Err(invalid(format!("{name} is given twice")));
        }
        set(&mut query, &name, value)?;
        seen.push(name);
    }
    Ok(query)
}

fn set(query: &mut ListQuery, name: &str, value: String) -> Result<(), Problem> {
    match name {
        "prefix" => query.prefix = prefix(value)?,
        "after" if value.is_empty() => query.after = None,
        "after" => query.after = Some(Key::new(value).map_err(|error| invalid(format!("after: {error}")))?),
        "limit" => query.limit = limit(&value)?,
        unknown => return Err(invalid(suggest(unknown))),
    }
    Ok(())
}

fn prefix(value: String) -> Result<String, Problem> {
    if !value.is_empty() {
        Key::new(&value).map_err(|error| invalid(format!("prefix: {error}")))?;
    }
    Ok(value)
}

fn limit(value: &str) -> Result<usize, Problem> {
    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| invalid(format!("limit is {value:?}; it must be a number from 1 to {LIMIT_MAX}")))
}

fn suggest(unknown: &str) -> String {
    let similarity = |name: &&str| strsim::jaro_winkler(unknown, name);
    let nearest = NAMES.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match nearest.filter(|name| similarity(name) >= SIMILARITY_MIN) {
        Some(name) => format!("{unknown:?} is not known; did you mean {name:?}?"),
        None => format!("{unknown:?} is not known; known are {}", NAMES.join(", ")),
    }
}

fn decode(text: &str) -> Result<String, Problem> {
    percent::decode_query(text).map_err(|error| invalid(format!("{text:?}: {error}")))
}

fn invalid(detail: String) -> Problem {
    Problem::new(Code::InvalidQuery, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<ListQuery, String> {
        let kind = KindName::new("counter").unwrap();
        list_query(kind, Some(raw)).map_err(|problem| {
            problem.document(&crate::protocol::RequestId("r".into()))["detail"].as_str().unwrap().to_owned()
        })
    }

    #[test]
    fn nothing_said_means_the_first_hundred() {
        let query = read("").unwrap();
        assert_eq!((query.limit, query.after, query.prefix.as_str()), (100, None, ""));
    }

    #[test]
    fn a_misspelt_name_gets_a_suggestion() {
        assert_eq!(read("limt=3").unwrap_err(), r#""limt" is not known; did you mean "limit"?"#);
        assert!(read("zzz=3").unwrap_err().contains("known are prefix, after, limit"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for raw in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit=-1",
            "limit",
            "after=a%00",
            "prefix=%ff",
            "limit=1&limit=2",
        ] {
            assert!(read(raw).is_err(), "{raw}");
        }
        assert_eq!(read("limit=1000&prefix=a%2Fb&after=x+y").unwrap().after.unwrap().as_str(), "x y");
    }
}

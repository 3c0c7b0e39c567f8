//! The TOML file, flattened to keys with their lines.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::ConfigError,
    source::{ConfigFile, Origin},
};

type Line = (String, String, Origin);

/// Every value of the file, with its key and its line.
pub(super) fn read(file: &ConfigFile) -> Result<Vec<Line>, ConfigError> {
    let document = DeTable::parse(&file.text).map_err(|error| ConfigError::Syntax {
        path: file.path.clone(),
        line: error.span().map_or(1, |span| line_of(&file.text, span.start)),
        message: error.message().to_owned(),
    })?;
    let mut lines = Vec::new();
    flatten(file, "", document.get_ref(), &mut lines)?;
    Ok(lines)
}

fn flatten(
    file: &ConfigFile,
    prefix: &str,
    table: &DeTable<'_>,
    lines: &mut Vec<Line>,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => flatten(file, &format!("{key}."), inner, lines)?,
            _ => lines.push(line(file, key, value)?),
        }
    }
    Ok(())
}

fn line(file: &ConfigFile, key: String, value: &Spanned<DeValue<'_>>) -> Result<Line, ConfigError> {
    let origin = Origin::File { path: file.path.clone(), line: line_of(&file.text, value.span().start) };
    match text_of(value.get_ref()) {
        Some(text) => Ok((key, text, origin)),
        None => Err(ConfigError::BadValue {
            key,
            given: file.text.get(value.span()).unwrap_or_default().to_owned(),
            allowed: "a text, a number or true or false".to_owned(),
            origin,
        }),
    }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

//! Programs of the machine that prepare what pods need.

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// A program that is needed and did not do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{program}: {reason}")]
pub struct RunError {
    program: String,
    reason: String,
}

/// Runs a script of the shell, which ends with the first command that fails.
pub(super) fn script(text: &str) -> Result<(), RunError> {
    feed("sh", &["-e"], text)
}

/// Runs a program that reads `input`; its last words if it fails.
pub(super) fn feed(program: &str, arguments: &[&str], input: &str) -> Result<(), RunError> {
    let failed = |reason: String| RunError { program: format!("{program} {}", arguments.join(" ")), reason };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match written {
        _ if !output.status.success() => Err(failed(said.trim().to_owned())),
        Some(Err(error)) => Err(failed(error.to_string())),
        _ => Ok(()),
    }
}

/// A word as the shell takes it for one.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_ends_with_the_first_failure() {
        assert_eq!(script("true; false; exit 0").unwrap_err().program, "sh -e");
        assert_eq!(script("true"), Ok(()));
        assert!(script("echo so >&2; exit 3").unwrap_err().to_string().ends_with("so"));
    }

    #[test]
    fn a_word_stays_one() {
        let word = "it's $HOME; rm \"x\" \\ \n*";
        let text = format!("[ {} = \"$(cat)\" ]", quoted(word));
        assert_eq!(feed("sh", &["-ec", &text], word), Ok(()));
    }
}

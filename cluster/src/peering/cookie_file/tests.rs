//! Files that change, go away, and are too short.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use tempfile::TempDir;
use tracing::Level;

use super::*;
use crate::peering::captured_log::CapturedLog;

const OLD: &str = "the-old-cookie-0123456789-0123456789";
const NEW: &str = "the-new-cookie-0123456789-0123456789";
const NEXT: &str = "the-next-cookie-0123456789-0123456789";

/// A directory with cookie files in it, only for their owner.
struct Story(TempDir);

impl Story {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces the file as a whole.
    fn put(&self, name: &str, text: &str) {
        let (new, path) = (self.path("new"), self.path(name));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o400)).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn open(&self, second: Option<&str>) -> Result<CookieFiles, CookieFileError> {
        let config = CookieFilesConfig::new(self.path("first"), second.map(|name| self.path(name)));
        CookieFiles::open(config, &Environment::simulated(1))
    }
}

fn cookie(text: &str) -> Cookie {
    Cookie::derive(text.as_bytes()).unwrap()
}

fn only(text: &str) -> Cookies {
    Cookies { first: cookie(text), second: None }
}

/// Lets the files be looked at.
async fn later() {
    sleep(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn white_space_around_the_cookie_does_not_count() {
    let story = Story::new();
    for text in [OLD.to_owned(), format!("{OLD}\n"), format!("\n\t {OLD} \r\n\n")] {
        story.put("first", &text);
        assert_eq!(story.open(None).unwrap().cookies(), only(OLD));
    }
    story.put("first", &OLD.replace("-old-", " old "));
    assert_ne!(story.open(None).unwrap().cookies(), only(OLD));
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_at_the_start_says_what_to_do() {
    let story = Story::new();
    let missing = |error| matches!(error, CookieFileError::Read { .. });
    assert!(missing(story.open(None).unwrap_err()));
    story.put("first", OLD);
    assert!(missing(story.open(Some("second")).unwrap_err()));

    // White space does not make a cookie long enough.
    let short = format!("{}{}", "s".repeat(31), "\n".repeat(40));
    for (text, parts) in [
        (short, ["is no cookie; write 32 random bytes", "31"]),
        (String::new(), ["is no cookie; write 32 random bytes", "0"]),
        ("x".repeat(4097), ["more than 4096 bytes", "right file"]),
    ] {
        story.put("first", &text);
        let message = told(&story.open(None).unwrap_err());
        for part in parts.into_iter().chain([story.path("first").to_str().unwrap()]) {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
        assert!(!message.contains("sss") && !message.contains("xxx"), "{message}");
    }
    story.put("first", &"x".repeat(4096));
    story.open(None).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_read_again() {
    let story = Story::new();
    story.put("first", OLD);
    story.put("second", NEXT);
    let files = story.open(Some("second")).unwrap();
    assert_eq!(files.cookies(), Cookies { first: cookie(OLD), second: Some(cookie(NEXT)) });
    later().await;
    assert_eq!((files.changes(), files.failures()), (0, 0));

    // Each file by itself.
    story.put("first", NEW);
    later().await;
    assert_eq!(files.cookies(), Cookies { first: cookie(NEW), second: Some(cookie(NEXT)) });
    story.put("second", OLD);
    later().await;
    assert_eq!(files.cookies(), Cookies { first: cookie(NEW), second: Some(cookie(OLD)) });
    assert_eq!((files.changes(), files.failures()), (2, 0));

    // In place, with another length.
    let path = story.path("first");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(path, NEXT).unwrap();
    later().await;
    assert_eq!(files.cookies().first, cookie(NEXT));
}

/// As Kubernetes does when a Secret changes.
#[tokio::test(start_paused = true)]
async fn a_link_that_is_swapped_is_followed() {
    let story = Story::new();
    for (folder, text) in [("one", OLD), ("two", NEW)] {
        fs::create_dir(story.path(folder)).unwrap();
        story.put(&format!("{folder}/cookie"), text);
    }
    symlink("one", story.path("data")).unwrap();
    symlink("data/cookie", story.path("first")).unwrap();
    let files = story.open(None).unwrap();
    assert_eq!(files.cookies(), only(OLD));

    symlink("two", story.path("data-new")).unwrap();
    fs::rename(story.path("data-new"), story.path("data")).unwrap();
    later().await;
    assert_eq!(files.cookies(), only(NEW));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_became_bad_leaves_the_last_good_cookie() {
    let log = CapturedLog::start();
    let story = Story::new();
    story.put("first", OLD);
    let files = story.open(None).unwrap();
    let levels = async || {
        later().await;
        log.take().into_iter().map(|(level, _)| level).collect::<Vec<_>>()
    };
    assert!(levels().await.is_empty());

    story.put("first", "short");
    assert_eq!(levels().await, [Level::ERROR]);
    let counted = files.failures();
    assert!(levels().await.is_empty());
    assert!(counted > 0 && files.failures() > counted);
    fs::remove_file(story.path("first")).unwrap();
    assert_eq!(levels().await, [Level::ERROR]);
    assert_eq!((files.cookies(), files.changes()), (only(OLD), 0));

    story.put("first", OLD);
    assert_eq!(levels().await, [Level::INFO]);
    story.put("first", NEW);
    assert_eq!(levels().await, [Level::INFO]);
    assert_eq!((files.cookies(), files.changes()), (only(NEW), 1));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_others_may_read_is_warned_of() {
    let log = CapturedLog::start();
    let story = Story::new();
    for (mode, warnings) in [(0o400, 0), (0o600, 0), (0o440, 1), (0o644, 1)] {
        story.put("first", OLD);
        fs::set_permissions(story.path("first"), fs::Permissions::from_mode(mode)).unwrap();
        story.open(None).unwrap();
        let lines = log.take();
        assert_eq!(lines.len(), warnings, "{mode:o}: {lines:?}");
        assert!(
            lines.iter().all(|(level, line)| *level == Level::WARN && line.contains(&format!("{mode:o}")))
        );
    }
}

/// A secret that is mounted belongs to root and to the group of the node; each start warned of it.
#[test]
fn the_group_may_read_what_is_not_our_own_and_no_more() {
    for mode in [0o400, 0o440, 0o640] {
        assert!(!is_open_to_others(mode, false), "{mode:o}");
    }
    for mode in [0o460, 0o450, 0o444, 0o441, 0o402] {
        assert!(is_open_to_others(mode, false), "{mode:o}");
    }
    assert!(is_open_to_others(0o440, true));
}

#[tokio::test(start_paused = true)]
async fn the_cookie_is_never_shown() {
    let log = CapturedLog::start();
    let story = Story::new();
    story.put("first", OLD);
    story.put("second", NEXT);
    let files = story.open(Some("second")).unwrap();
    let mut shown = vec![format!("{files:?} {:?}", files.cookies())];
    for text in [NEW, "too-short-cookie", &"long-cookie".repeat(1000)] {
        story.put("first", text);
        later().await;
        shown.extend(story.open(None).err().map(|error| format!("{error} {error:?} {}", told(&error))));
    }
    shown.extend(log.take().into_iter().map(|(_, line)| line));
    assert!(shown.len() >= 6, "{shown:?}");
    let secrets = ["old-cookie", "next-cookie", "new-cookie", "short-cookie", "long-cookie"];
    for text in shown {
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_stops_looking_when_it_is_dropped() {
    let story = Story::new();
    story.put("first", OLD);
    let files = story.open(None).unwrap();
    let counts = files.counts.clone();
    drop(files);
    fs::remove_file(story.path("first")).unwrap();
    later().await;
    assert_eq!(counts.failures.load(Relaxed), 0);
}

//! Keys of ConfigMaps and Secrets as files, with the rights that the kubelet gives them.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::{objects::volume::Projection, variables::NotYet};

/// A file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the volume.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
    /// Who may read it.
    pub mode: u32,
}

/// The files of a volume. `kind` says what is projected, `data` is its content, if it is there.
///
/// # Errors
///
/// What they wait for.
pub fn projected(
    kind: &str,
    from: &Projection,
    data: Option<&BTreeMap<String, String>>,
    fs_group: Option<u32>,
) -> Result<Vec<File>, NotYet> {
    let object = format!("{kind} {}", from.name);
    let Some(data) = data else {
        return if from.optional { Ok(Vec::new()) } else { Err(NotYet::NoObject { object }) };
    };
    let mode = |mode: Option<u32>| group_readable(mode.unwrap_or(from.default_mode), fs_group);
    if from.items.is_empty() {
        let file =
            |(key, text): (&String, &String)| File { path: key.into(), text: text.clone(), mode: mode(None) };
        return Ok(data.iter().map(file).collect());
    }
    let mut files = Vec::new();
    for item in from.items.iter().filter(|item| stays_inside(&item.path)) {
        match data.get(&item.key) {
            Some(text) => {
                files.push(File { path: item.path.clone(), text: text.clone(), mode: mode(item.mode) })
            }
            None if from.optional => (),
            None => return Err(NotYet::NoKey { object, key: item.key.clone() }),
        }
    }
    Ok(files)
}

/// A group that volumes belong to may read their files.
fn group_readable(mode: u32, fs_group: Option<u32>) -> u32 {
    if fs_group.is_some() { mode | 0o440 } else { mode }
}

fn stays_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::objects::volume::Item;

    fn projection(items: Vec<Item>) -> Projection {
        Projection { name: "cookie".to_owned(), items, default_mode: 0o400, optional: false }
    }

    fn data() -> BTreeMap<String, String> {
        [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into()
    }

    fn file(path: &str, text: &str, mode: u32) -> File {
        File { path: path.into(), text: text.to_owned(), mode }
    }

    #[test]
    fn all_keys_are_files_unless_some_are_named() {
        let all = projected("Secret", &projection(Vec::new()), Some(&data()), None);
        assert_eq!(all, Ok(vec![file("a", "1", 0o400), file("b", "2", 0o400)]));
        let item = Item { key: "b".to_owned(), path: "x/y".into(), mode: Some(0o600) };
        let one = projected("Secret", &projection(vec![item]), Some(&data()), None);
        assert_eq!(one, Ok(vec![file("x/y", "2", 0o600)]));
    }

    #[test]
    fn the_group_of_the_pod_may_read() {
        let all = projected("Secret", &projection(Vec::new()), Some(&data()), Some(65532)).unwrap();
        assert!(all.iter().all(|file| file.mode == 0o440));
    }

    #[test]
    fn what_is_not_there_is_waited_for_unless_it_is_optional() {
        let mut from = projection(vec![Item { key: "c".to_owned(), path: "c".into(), mode: None }]);
        let object = "Secret cookie".to_owned();
        assert_eq!(projected("Secret", &from, None, None), Err(NotYet::NoObject { object: object.clone() }));
        let no_key = NotYet::NoKey { object, key: "c".to_owned() };
        assert_eq!(projected("Secret", &from, Some(&data()), None), Err(no_key));
        from.optional = true;
        assert_eq!(projected("Secret", &from, None, None), Ok(Vec::new()));
        assert_eq!(projected("Secret", &from, Some(&data()), None), Ok(Vec::new()));
    }

    #[test]
    fn no_file_is_outside_of_its_volume() {
        let item = |path: &str| Item { key: "a".to_owned(), path: path.into(), mode: None };
        let files = projected("Secret", &projection(vec![item("../x"), item("/x")]), Some(&data()), None);
        assert_eq!(files, Ok(Vec::new()));
    }
}

//! `pack`: what comes out is whole, says so itself, and is the same each time.

use std::{fs, path::Path, process::Command};

use serde_json::json;
use tempfile::TempDir;

use crate::archive::{Archive, SMALL_PROGRAM, digest, pack, succeeds};

/// Each part of an image is named by the digest of its bytes; who loads it checks that.
#[test]
fn everything_is_named_by_its_digest_and_size() {
    let image = Archive::of(Path::new(SMALL_PROGRAM), &[]);
    let manifest = image.manifest();
    for descriptor in [&image.index()["manifests"][0], &manifest["config"], &manifest["layers"][0]] {
        let blob = image.blob(descriptor);
        assert_eq!(descriptor["digest"], digest(&blob));
        assert_eq!(descriptor["size"], fs::metadata(&blob).unwrap().len());
    }

    let plain = TempDir::new().unwrap();
    let layer = plain.path().join("layer.gz");
    fs::copy(image.layer(), &layer).unwrap();
    succeeds(Command::new("gzip").arg("-d").arg(&layer));
    let diff_id = digest(&plain.path().join("layer"));
    assert_eq!(image.config()["rootfs"], json!({ "type": "layers", "diff_ids": [diff_id] }));
}

/// One archive, three readers: OCI's, containerd's by the annotation, and Docker's of before 25.
#[test]
fn it_says_its_name_to_each_reader() {
    let options = ["--name", "registry.example.com/team/playhouse", "--tag", "9.8.7"];
    let image = Archive::of(Path::new(SMALL_PROGRAM), &options);

    assert_eq!(image.json("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }));
    let annotations = &image.index()["manifests"][0]["annotations"];
    assert_eq!(annotations["io.containerd.image.name"], "registry.example.com/team/playhouse:9.8.7");
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "9.8.7");
    let docker = image.json("manifest.json");
    assert_eq!(docker[0]["RepoTags"], json!(["registry.example.com/team/playhouse:9.8.7"]));
    let manifest = image.manifest();
    for (path, descriptor) in
        [(&docker[0]["Config"], &manifest["config"]), (&docker[0]["Layers"][0], &manifest["layers"][0])]
    {
        let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
        assert_eq!(path, &json!(format!("blobs/{digest}")));
    }
}

#[test]
fn the_root_holds_the_binary_its_libraries_and_three_files() {
    let entries = Archive::of(Path::new(SMALL_PROGRAM), &[]).entries();

    let is_library = |path: &str| path.contains(".so");
    let files: Vec<_> =
        entries.iter().filter(|(path, entry)| !entry.mode.starts_with('d') && !is_library(path)).collect();
    let named: Vec<_> = files.iter().map(|(path, entry)| (path.as_str(), entry.mode.as_str())).collect();
    assert_eq!(
        named,
        [
            ("/etc/group", "-rw-r--r--"),
            ("/etc/nsswitch.conf", "-rw-r--r--"),
            ("/etc/passwd", "-rw-r--r--"),
            ("/usr/local/bin/playhouse", "-rwxr-xr-x"),
        ]
    );
    assert!(entries.keys().any(|path| path.contains("/ld-") && is_library(path)), "{entries:?}");
}

/// The node may write to its volume and to nothing else, whoever mounts the root how.
#[test]
fn only_the_volume_belongs_to_the_node() {
    for (path, entry) in Archive::of(Path::new(SMALL_PROGRAM), &[]).entries() {
        let is_volume = path == "/var/lib/playhouse";
        assert_eq!(entry.owner, if is_volume { "65532/65532" } else { "0/0" }, "{path}");
        assert!(!entry.mode[4..].contains('w'), "others may write to {path}: {}", entry.mode);
        assert!(!entry.mode.contains(['s', 't', 'l']), "{path}: {}", entry.mode);
        assert_eq!(entry.changed, "1970-01-01 00:00:00", "{path}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let [first, second, later, other] =
        ["first", "second", "later", "other"].map(|name| folder.path().join(name));
    // Another folder, another time of the binary, other rights of new files.
    let copy = folder.path().join("a copy");
    fs::copy(SMALL_PROGRAM, &copy).unwrap();

    let binary = Path::new(SMALL_PROGRAM);
    succeeds(&mut pack(&first, binary, &[]));
    succeeds(pack(&second, &copy, &[]).current_dir(&folder));
    succeeds(pack(&later, binary, &[]).env("SOURCE_DATE_EPOCH", "1763700000"));
    succeeds(&mut pack(&other, binary, &["--revision", "0123abc"]));

    let bytes = |file: &Path| fs::read(file).unwrap();
    assert!(bytes(&first) == bytes(&second));
    assert!(bytes(&first) != bytes(&later));
    assert!(bytes(&first) != bytes(&other));
}

#[test]
fn it_says_how_large_the_image_is() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("image.tar");
    let said = succeeds(&mut pack(&file, Path::new(SMALL_PROGRAM), &[])).stdout;
    let said = String::from_utf8(said).unwrap();
    let image = Archive::of(Path::new(SMALL_PROGRAM), &[]);
    let to_pull = fs::metadata(image.layer()).unwrap().len();
    assert!(said.contains(&format!("to pull   {to_pull} bytes\n")), "{said}");
    assert!(said.contains("linked    dynamic"), "{said}");
    let digest = image.index()["manifests"][0]["digest"].as_str().unwrap().to_owned();
    assert!(said.contains(&format!("digest    {digest}\n")), "{said}");
}

/// A refusal leaves no archive that somebody could take for an image.
#[test]
fn what_cannot_be_packed_is_refused() {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let nothing = folder.path().join("nothing");
    let small = Path::new(SMALL_PROGRAM);
    let cases: [(&Path, &[&str], &str); 6] = [
        (&script, &[], "is not a program for Linux"),
        (&nothing, &[], "is not a file"),
        (small, &["--name", "Upper Case"], "is no name of an image"),
        (small, &["--revision", "\", \"x\": \""], "is no revision"),
        (small, &["--source", "http://x\"y"], "is no URL"),
        (small, &["--entrypoint", "/bin/sh"], "is not known"),
    ];
    for (binary, options, reason) in cases {
        let file = folder.path().join("image.tar");
        let output = pack(&file, binary, options).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(!file.exists());
    }
}

//! Images that are assembled without a daemon.

use crate::world::{Log, Made, Shop, key};
use images::{Choice, Error, Layout};
use pipeline::Digest;
use std::collections::BTreeMap;
use std::io::Read;

const DOCKERFILE: &[u8] = b"FROM --platform=linux/amd64 scratch\n\
    WORKDIR /srv\n\
    COPY --chown=10001:10002 --chmod=0755 server ./\n\
    COPY config /etc/was/\n\
    COPY *.txt /texts/\n\
    ENV PORT=8080\n\
    USER 10001\n\
    ENTRYPOINT [\"/srv/server\"]\n";

fn files() -> Vec<Made<'static>> {
    vec![
        Made::File("Dockerfile", DOCKERFILE, 0o644),
        Made::File(".dockerignore", b"**/*.secret\nDockerfile\n", 0o644),
        Made::File("server", b"\x7fELF", 0o600),
        Made::File("config/app.yaml", b"a: 1\n", 0o640),
        Made::File("config/deep/er/key.secret", b"hidden", 0o600),
        Made::File("config/deep/er/plain", b"shown", 0o644),
        Made::Link("config/current", "app.yaml"),
        Made::File("b.txt", b"b", 0o644),
        Made::File("a.txt", b"a", 0o644),
    ]
}

/// Everything in an image's layers: kind and mode, owner, time, content.
pub(crate) fn contents(layout: &Layout, digest: &Digest) -> BTreeMap<String, (String, (u64, u64), u64, String)> {
    let (_, manifest) = layout.manifest(digest).unwrap();
    let mut found = BTreeMap::new();
    for layer in &manifest.layers {
        let blob = std::fs::read(layout.blob(&layer.digest.parse().unwrap())).unwrap();
        assert_eq!(Digest::of(&blob).as_str(), layer.digest, "a blob is named by its digest");
        assert_eq!(blob.len() as i64, layer.size);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&blob[..]));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let mut text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some(target) = entry.link_name().unwrap() {
                text = format!("-> {}", target.display());
            }
            let kind = format!("{:?} {:o}", header.entry_type(), header.mode().unwrap());
            let owner = (header.uid().unwrap(), header.gid().unwrap());
            let path = entry.path().unwrap().display().to_string();
            found.insert(path, (kind, owner, header.mtime().unwrap(), text));
        }
    }
    found
}

#[tokio::test]
async fn a_layer_holds_what_the_dockerfile_says() {
    let shop = Shop::new(Choice::Context);
    let digest = shop.images.build(&shop.job("image", 1_700_000_000, &files()), &Log::default()).await.unwrap();
    let row = |kind: &str, text: &str| (kind.to_owned(), (0, 0), 0, text.to_owned());
    let wanted = BTreeMap::from([
        ("etc/".to_owned(), row("Directory 755", "")),
        ("etc/was/".into(), row("Directory 755", "")),
        ("etc/was/app.yaml".into(), row("Regular 640", "a: 1\n")),
        ("etc/was/current".into(), row("Symlink 777", "-> app.yaml")),
        ("etc/was/deep/".into(), row("Directory 755", "")),
        ("etc/was/deep/er/".into(), row("Directory 755", "")),
        ("etc/was/deep/er/plain".into(), row("Regular 644", "shown")),
        ("srv/".into(), row("Directory 755", "")),
        ("srv/server".into(), ("Regular 755".into(), (10001, 10002), 0, "\x7fELF".into())),
        ("texts/".into(), row("Directory 755", "")),
        ("texts/a.txt".into(), row("Regular 644", "a")),
        ("texts/b.txt".into(), row("Regular 644", "b")),
    ]);
    assert_eq!(contents(shop.images.layout(), &digest), wanted);
}

#[tokio::test]
async fn the_configuration_fits_its_layers() {
    let shop = Shop::new(Choice::Context);
    let digest = shop.images.build(&shop.job("image", 0, &files()), &Log::default()).await.unwrap();
    let (_, manifest) = shop.images.layout().manifest(&digest).unwrap();
    let config = std::fs::read(shop.images.layout().blob(&manifest.config.digest.parse().unwrap())).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let layer = std::fs::read(shop.images.layout().blob(&manifest.layers[0].digest.parse().unwrap())).unwrap();
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(&layer[..]).read_to_end(&mut tar).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([Digest::of(&tar).as_str()]));
    assert_eq!((&config["os"], &config["architecture"]), (&"linux".into(), &"amd64".into()));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/srv/server"]));
    assert_eq!(config["config"]["User"], "10001");
}

/// Another order, another time, another key, another directory: the same image.
#[tokio::test]
async fn the_same_input_gives_the_same_digest() {
    let (one, other) = (Shop::new(Choice::Context), Shop::new(Choice::Context));
    let first = one.images.build(&one.job("image", 1, &files()), &Log::default()).await.unwrap();
    let mut shuffled = files();
    shuffled.reverse();
    let second = other.images.build(&other.job("again", 1_700_000_000, &shuffled), &Log::default()).await.unwrap();
    assert_eq!(first, second);
    shuffled.push(Made::File("c.txt", b"c", 0o644));
    let third = other.images.build(&other.job("more", 0, &shuffled), &Log::default()).await.unwrap();
    assert_ne!(first, third);
}

#[tokio::test]
async fn a_build_is_found_again_after_a_restart() {
    let shop = Shop::new(Choice::Context);
    let digest = shop.images.build(&shop.job("image", 0, &files()), &Log::default()).await.unwrap();
    let reopened = Layout::open(&shop.dir.path().join("layout")).unwrap();
    assert_eq!(reopened.find(&key("image")).unwrap(), Some(digest.clone()));
    assert_eq!(reopened.find(&key("other")).unwrap(), None);
    // An image that lost a blob is no image.
    let (_, manifest) = reopened.manifest(&digest).unwrap();
    std::fs::remove_file(reopened.blob(&manifest.layers[0].digest.parse().unwrap())).unwrap();
    assert_eq!(reopened.find(&key("image")).unwrap(), None);
}

#[tokio::test]
async fn pruning_keeps_the_newest_and_what_they_share() {
    let shop = Shop::new(Choice::Context);
    let mut digests = Vec::new();
    for (step, text) in [("one", b"1"), ("two", b"2"), ("three", b"3")] {
        let files = [Made::File("Dockerfile", b"FROM scratch\nCOPY f /f\n", 0o644), Made::File("f", text, 0o644)];
        digests.push(shop.images.build(&shop.job(step, 0, &files), &Log::default()).await.unwrap());
    }
    let layout = shop.images.layout();
    layout.prune(2).unwrap();
    assert_eq!(layout.find(&key("one")).unwrap(), None);
    assert!(layout.holds(&digests[1]) && layout.holds(&digests[2]));
    let blobs = std::fs::read_dir(shop.dir.path().join("layout/blobs/sha256")).unwrap().count();
    assert_eq!(blobs, 6, "a manifest, a configuration and a layer for each of the two");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_its_line() {
    let shop = Shop::new(Choice::Context);
    let gzip: &[u8] = &[0x1f, 0x8b, 8, 0];
    let rows: [(&str, &str); 9] = [
        ("FROM scratch\nRUN make\nCOPY --from=x a /a\n", "line 2: RUN make"),
        ("FROM scratch\nRUN make\nCOPY --from=x a /a\n", "line 3: COPY --from=x a /a"),
        ("FROM scratch\nCOPY missing /a\n", "line 2 of the Dockerfile: `missing` is not in the context"),
        ("FROM scratch\nCOPY hidden /a\n", "mind .dockerignore"),
        ("FROM scratch\nCOPY *.txt /texts\n", "2 files need a directory as target; write `/texts/`"),
        ("FROM scratch\nCOPY a.txt /d/\nCOPY b.txt /d/a.txt/\n", "/d/a.txt is no directory"),
        ("FROM scratch\nCOPY dir /d\nCOPY a.txt /\nCOPY b.txt /d/\n", ""),
        ("FROM scratch\nADD a.tgz /\n", "ADD would unpack the archive `a.tgz`"),
        ("FROM scratch\nCOPY circle /a\n", "leads in a circle"),
    ];
    for (dockerfile, wanted) in rows {
        let files = [
            Made::File("Dockerfile", dockerfile.as_bytes(), 0o644),
            Made::File(".dockerignore", b"hidden", 0o644),
            Made::File("hidden", b"", 0o644),
            Made::File("a.txt", b"a", 0o644),
            Made::File("b.txt", b"b", 0o644),
            Made::File("dir/x", b"x", 0o644),
            Made::File("a.tgz", gzip, 0o644),
            Made::Link("circle", "circle"),
        ];
        match shop.images.build(&shop.job("image", 0, &files), &Log::default()).await {
            Ok(_) => assert_eq!(wanted, "", "{dockerfile}"),
            Err(Error::Input(because)) => {
                assert!(!wanted.is_empty() && because.contains(wanted), "{dockerfile}: {because}");
            }
            Err(error) => panic!("{dockerfile}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_context_without_its_dockerfile_says_what_it_has() {
    let shop = Shop::new(Choice::Context);
    let files = [Made::File("Dockerfile.was", b"FROM scratch\n", 0o644)];
    let error = shop.images.build(&shop.job("image", 0, &files), &Log::default()).await.unwrap_err();
    assert!(error.to_string().contains("it has Dockerfile.was"), "{error}");
}

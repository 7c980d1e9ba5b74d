//! cosign itself, both ways: what it signs, we accept; what we sign, it accepts.

use super::{Chat, Workshop, openssl, refused, run, said};
use world::config::Config;
use world::cosign::{Cosign, Form};
use world::estate::{Estate, Kind};
use world::{has, missing};

#[tokio::test(flavor = "multi_thread")]
async fn cosign_signs_for_us_and_reads_what_we_sign() {
    let dir = tempfile::tempdir().expect("a folder");
    let cosign = Cosign::found(dir.path());
    let absent = [
        missing("docker-registry", has("docker-registry")),
        missing("openssl", has("openssl")),
        missing("cosign", cosign.is_some()),
    ];
    let Some(cosign) = cosign.filter(|_| !absent.contains(&true)) else { return };
    let (chat, workshop) = (Chat::open().await, Workshop::start(dir.path()).await);
    std::fs::write(workshop.file("chat"), &chat.address).expect("a file can be written");
    cosign.keys("theirs");
    openssl(&[
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        &workshop.file("p256.key"),
    ]);
    openssl(&["pkey", "-in", &workshop.file("p256.key"), "-pubout", "-out", &workshop.file("p256.pub")]);

    // What cosign signed is accepted by its key, and by no other; its own key is encrypted, and stays with it.
    let theirs = workshop.pushed("one", "acme/say:1", &[]);
    let before = workshop.pushed("three", "acme/before:1", &[]);
    for (reference, form) in [(&theirs, Form::Bundle), (&before, Form::Attached)] {
        cosign.sign(reference, &workshop.file("theirs.key"), form);
        said(&["verify", reference, "--key", &workshop.file("theirs.pub")]);
        let other = refused(&["verify", reference, "--key", &workshop.file("p256.pub")]);
        assert!(other.contains("none of its 1 signatures"), "{other}");
    }
    said(&["pull", &theirs, "-o", &workshop.file("pulled")]);
    let encrypted = refused(&["sign", &theirs, "--key", &workshop.file("theirs.key")]);
    assert!(encrypted.contains("sign by `cosign sign --key`"), "{encrypted}");

    ours(&cosign, &workshop);

    // Neither takes the other's signature away.
    said(&["sign", &theirs, "--key", &workshop.file("acme.key")]);
    cosign.sign(&theirs, &workshop.file("theirs.key"), Form::Attached);
    for (key, form) in [("theirs.pub", Form::Bundle), ("theirs.pub", Form::Attached), ("acme.pub", Form::Attached)] {
        said(&["verify", &theirs, "--key", &workshop.file(key)]);
        let (is_accepted, printed) = cosign.verifies(&theirs, &workshop.file(key), form);
        assert!(is_accepted, "{key}: {printed}");
    }

    files(&cosign, &workshop);

    let trusting = |config: Config| config.with(&workshop.tables("theirs.pub"));
    let estate = Estate::configured(Kind::Embedded, "1s", trusting).await;
    let files = workshop.locked("acme/say:1", "what cosign signed", &[]);
    let (state, page) = run(&estate, &files, "Say it").await;
    assert_eq!(state, "succeeded", "{page}");
    assert!(chat.heard("what cosign signed"));
    let files = workshop.locked("acme/acme:1", "what another key signed", &[]);
    let (state, page) = run(&estate, &files, "Another key").await;
    assert_eq!(state, "failed", "{page}");
    assert!(page.contains("has a signature by another key") && !chat.heard("what another key signed"), "{page}");
}

/// What we signed is accepted by cosign, by both kinds of keys, and by no other.
fn ours(cosign: &Cosign, workshop: &Workshop) {
    for name in ["acme", "p256"] {
        let reference = format!("acme/{name}:1");
        let ours = workshop.pushed("two", &reference, &["--sign", &workshop.file(&format!("{name}.key"))]);
        let (is_accepted, printed) = cosign.verifies(&ours, &workshop.file(&format!("{name}.pub")), Form::Bundle);
        assert!(is_accepted && printed.contains("cosign claims were validated"), "{name}: {printed}");
        let (is_accepted, printed) = cosign.verifies(&ours, &workshop.file("stranger.pub"), Form::Bundle);
        assert!(!is_accepted && printed.contains("no matching signatures"), "{name}: {printed}");
    }
}

/// Files, signed by either, and read by the other.
fn files(cosign: &Cosign, workshop: &Workshop) {
    let file = workshop.file("one");
    for form in [Form::Bundle, Form::Attached] {
        cosign.sign_file(&file, &workshop.file("theirs.key"), form);
        said(&["verify", &file, "--key", &workshop.file("theirs.pub")]);
        refused(&["verify", &file, "--key", &workshop.file("p256.pub")]);
    }
    said(&["sign", &file, "--key", &workshop.file("p256.key")]);
    let (is_accepted, printed) = cosign.verifies_file(&file, &workshop.file("p256.pub"));
    assert!(is_accepted && !cosign.verifies_file(&file, &workshop.file("theirs.pub")).0, "{printed}");
}

//! The journal is backed up from a running server and restored for one that does not run, whatever has become of the
//! configuration.

use world::bespin::run;
use world::estate::{Estate, Kind};

#[tokio::test(flavor = "multi_thread")]
async fn from_a_running_server_to_the_next() {
    let mut estate = Estate::undeclared(Kind::Embedded, "1s").await;
    let commit = estate.change(1).await;
    let deliver = || async { estate.deliver(&commit).await.expect("it is answered") };
    assert!(deliver().await.contains("accepted"));
    let received = estate.bespin.journal("delivery/");
    assert!(!received.is_empty());

    let data = estate.dir().join("data");
    let (backup, data) = (estate.dir().join("backup").display().to_string(), data.display().to_string());
    let journal = |arguments: &[&str]| run(&[&["journal"], arguments].concat());
    assert_eq!(journal(&["backup", "--data", &data, &backup]).0, 0);
    let (code, said) = journal(&["verify", &backup]);
    assert!(code == 0 && said.contains("\"entries\":"), "{said}");
    let (code, said) = journal(&["backup", "--data", &data, &backup]);
    assert!(code == 1 && said.contains("overwrites nothing"), "{said}");
    let (code, said) = journal(&["restore", "--data", &data, &backup]);
    assert!(code == 1 && said.contains("empty"), "a server's own journal is not restored over: {said}");

    estate.bespin.process().kill();
    let (code, said) = journal(&["export", "--data", &data]);
    assert!(code == 1 && said.contains("is `bespin serve` running"), "{said}");
    std::fs::remove_dir_all(estate.dir().join("data/journal")).expect("the disk is lost");
    let broken = estate.dir().join("broken.toml");
    let text = format!("[server]\ndata = \"{data}\"\n[[hook]]\nsecrets = [{{ env = \"LOST_AS_WELL\" }}]\n");
    std::fs::write(&broken, text).expect("a file can be written");
    let (code, said) = journal(&["restore", "--config", &broken.display().to_string(), &backup]);
    assert_eq!(code, 0, "{said}");
    estate.restart(&[]).await;
    let deliver = || async { estate.deliver(&commit).await.expect("it is answered") };
    assert!(deliver().await.contains("duplicate"), "what was accepted before the backup is known");
    let restored = estate.bespin.journal("delivery/");
    assert_eq!(restored[..received.len()], received[..]);
}

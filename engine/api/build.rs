//! Embeds the dashboard anew when it was built anew.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A debug build reads the files from the disk when it is asked for them.
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/dist");
        // Cargo holds a path that is missing to be always changed. Where the
        // folder cannot be made, that costs time and nothing else.
        let _unmade = std::fs::create_dir_all(dist);
        println!("cargo::rerun-if-changed={dist}");
    }
}

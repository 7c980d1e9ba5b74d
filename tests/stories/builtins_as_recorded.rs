//! The built-ins that have recorded cases are tested as an author tests a plugin: by `bespin plugin test`.

use std::path::Path;
use world::bespin::{plugins, run};

#[test]
fn each_case_comes_out_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let cache = tempfile::tempdir().expect("a folder");
    let mut tested = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the plugins are there").flatten() {
        let (name, cases) = (entry.file_name().to_string_lossy().into_owned(), entry.path().join("tests"));
        if !cases.is_dir() {
            continue;
        }
        let component = plugins().join(format!("{name}.wasm"));
        let paths = [&component, &cases, &cache.path().to_owned()].map(|path| path.display().to_string());
        let [component, cases, cache] = &paths;
        let (code, printed) = run(&["plugin", "test", component, "--cases", cases, "--cache", cache]);
        assert_eq!(code, 0, "{name}:\n{printed}");
        tested.push(name);
    }
    tested.sort();
    assert_eq!(tested, ["http", "scan"], "every built-in with cases is named here");
}

//! What a stranger meets first.

use super::*;

#[test]
fn the_example_is_a_configuration() {
    let directory = tempfile::tempdir().unwrap();
    for secret in ["hook-secret", "github-token"] {
        std::fs::write(directory.path().join(secret), "hush").unwrap();
    }
    let text = EXAMPLE.replace("/etc/bespin", &directory.path().display().to_string());
    let config = Config::parse("example.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!((config.server.listen, config.server.hooks), (default_listen(), default_hooks()));
    assert_eq!(config.server.keep_runs, default_keep_runs());
    assert_eq!(config.user.len(), 1);
}

#[test]
fn the_examples_password_lets_nobody_in() {
    let user = api::login::User {
        name: "kim".into(),
        role: api::login::Role::Operator,
        hash: "what `bespin hash-password` prints".into(),
    };
    assert!(EXAMPLE.contains(&user.hash));
    let refused = api::login::Login::new(vec![user], &"http://localhost".parse().unwrap());
    let Err(refused) = refused else { panic!("it is no hash") };
    assert!(refused.to_string().contains("bespin hash-password"), "{refused}");
}

#[test]
fn a_file_that_is_not_there_is_named_whole_with_the_help() {
    let mistakes = Config::load(Path::new("nowhere/bespin.toml")).expect_err("there is no such file").to_string();
    let whole = std::env::current_dir().unwrap().join("nowhere/bespin.toml");
    assert!(mistakes.contains(&whole.display().to_string()), "{mistakes}");
    assert!(mistakes.contains("--config") && mistakes.contains("bespin serve --help"), "{mistakes}");
}

#[test]
fn a_key_for_ssh_and_its_hosts_must_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let ssh = EXAMPLE.lines().skip_while(|line| !line.contains("over SSH")).skip(1).take(3);
    let ssh: String = ssh.map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
    let text = format!("[server]\ndata = \"d\"\n{ssh}");
    let text = text.replace("/etc/bespin", &directory.path().display().to_string());
    let mistakes = Config::parse("bespin.toml", &text).expect_err("there are no files").to_string();
    for part in ["git `git@github.com:user/`", "/ssh-key: No such file", "/known_hosts: No such file"] {
        assert!(mistakes.contains(part), "{part} is not in:\n{mistakes}");
    }
    for file in ["ssh-key", "known_hosts"] {
        std::fs::write(directory.path().join(file), "text\n").unwrap();
    }
    Config::parse("bespin.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
}

#[test]
fn the_data_folder_is_found_whatever_else_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bespin.toml");
    let data = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Config::data(&file).map_err(|mistakes| mistakes.to_string())
    };
    let wrong = "[server]\ndata = \"d\"\nlisen = 1\n[[hook]]\nsecrets = [{ env = \"BESPIN_TEST_NOT_SET\" }]\n";
    assert_eq!(data(wrong).unwrap(), Path::new("d"));
    assert!(Config::load(&file).is_err());
    assert!(data("[server]\n").unwrap_err().contains("missing field `data`"));
    assert!(data("[server\n").unwrap_err().contains("line 1"));
}

#[test]
fn a_secret_that_stands_in_the_file_is_refused_and_not_said_again() {
    for (row, line) in [
        ("[[hook]]\nsecrets = [\"hunter2hunter2\"]\n", 2),
        ("[[hook]]\nsecrets = [{ plain = \"hunter2hunter2\" }]\n", 2),
        ("[secret]\n\ntoken = \"hunter2hunter2\"\n", 3),
        ("[github]\ntoken = { file = \"a\", hunter2hunter2 = \"b\" }\n", 2),
    ] {
        let server = "[server]\ndata = \"data\"\n";
        let Err(mistakes) = Config::parse("bespin.toml", &format!("{server}{row}")) else { panic!("{row} is taken") };
        let mistakes = mistakes.to_string();
        assert!(!mistakes.contains("hunter2"), "{mistakes}");
        let place = format!("bespin.toml: line {}: ", 2 + line);
        assert!(mistakes.contains(&place) && mistakes.contains("{ file = "), "{mistakes}");
    }
}

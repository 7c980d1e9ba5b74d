//! Dockerfiles as data: each is a recipe, or every objection to it.

use super::*;

fn recipe(text: &str) -> Recipe {
    let args = BTreeMap::from([("version".to_owned(), "7".to_owned())]);
    let args = if text.contains("ARG version") { args } else { BTreeMap::new() };
    read(text, &args).unwrap_or_else(|objections| panic!("{text}: {objections:?}"))
}

fn objections(text: &str) -> Vec<String> {
    read(text, &BTreeMap::new()).expect_err(text).iter().map(ToString::to_string).collect()
}

#[test]
fn a_whole_file_is_read() {
    let text = r#"# syntax=docker/dockerfile:1
ARG version=1
FROM --platform=linux/amd64 scratch AS app
ARG version
ENV APP_HOME=/srv/app NAME="Pet Clinic" VERSION=${version}
ENV LEGACY some text
WORKDIR $APP_HOME
WORKDIR bin
COPY --chown=10001:10002 --chmod=0755 server ./
COPY ["with space.txt", "b*.txt", "/etc/"]
ADD config/ ../config
USER 10001
EXPOSE 8080 9000-9001/UDP
VOLUME ["/data", "/logs"]
LABEL org.opencontainers.image.title="was" version=$VERSION
STOPSIGNAL SIGTERM
ENTRYPOINT ["/srv/app/bin/server", "$HOME"]
CMD --port 8080
"#;
    let recipe = recipe(text);
    assert_eq!(recipe.platform.as_deref(), Some("linux/amd64"));
    let copy = |line, sources: &[&str], target: &str| Copy {
        line,
        sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        target: target.into(),
        into: Into::Directory,
        owner: (0, 0),
        mode: None,
        archives: ArchiveRule::Copied,
    };
    let steps = [
        FileStep::Directory { path: "/srv/app".into() },
        FileStep::Directory { path: "/srv/app/bin".into() },
        FileStep::Copy(Copy { owner: (10001, 10002), mode: Some(0o755), ..copy(9, &["server"], "/srv/app/bin") }),
        FileStep::Copy(copy(10, &["with space.txt", "b*.txt"], "/etc")),
        FileStep::Copy(Copy {
            into: Into::Path,
            archives: ArchiveRule::Unpacked,
            ..copy(11, &["config"], "/srv/app/config")
        }),
    ];
    assert_eq!(recipe.steps, steps);
    let config = serde_json::to_value(&recipe.config).expect("a configuration is plain data");
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let wanted = serde_json::json!({
        "User": "10001",
        "ExposedPorts": { "8080/tcp": {}, "9000/udp": {}, "9001/udp": {} },
        "Env": [path, "APP_HOME=/srv/app", "NAME=Pet Clinic", "VERSION=7", "LEGACY=some text"],
        "Entrypoint": ["/srv/app/bin/server", "$HOME"],
        "Cmd": ["/bin/sh", "-c", "--port 8080"],
        "Volumes": { "/data": {}, "/logs": {} },
        "WorkingDir": "/srv/app/bin",
        "Labels": { "org.opencontainers.image.title": "was", "version": "7" },
        "StopSignal": "SIGTERM",
    });
    assert_eq!(config, wanted);
}

/// The replaced system's own file: every line that needs a daemon, at once.
#[test]
fn the_seeds_dockerfile_needs_an_engine() {
    let text = "# Dockerfile (Multi-stage Build)\n\
                FROM maven:3.9-eclipse-temurin-17 AS builder\n\
                WORKDIR /app\n\
                COPY pom.xml .\n\
                COPY src ./src\n\
                RUN mvn clean package -DskipTests\n\
                \n\
                FROM eclipse-temurin:17-jre-alpine\n\
                WORKDIR /app\n\
                COPY --from=builder /app/target/*.jar app.jar\n\
                EXPOSE 8080\n\
                ENTRYPOINT [\"java\", \"-jar\", \"app.jar\"]\n";
    let objections = objections(text);
    let starts = [
        "needs a Docker Engine: line 2: FROM maven:3.9-eclipse-temurin-17 AS builder (",
        "needs a Docker Engine: line 6: RUN mvn clean package -DskipTests (RUN starts a process; ",
        "needs a Docker Engine: line 8: FROM eclipse-temurin:17-jre-alpine (",
        "needs a Docker Engine: line 10: COPY --from=builder /app/target/*.jar app.jar (",
    ];
    assert_eq!(objections.len(), starts.len(), "{objections:#?}");
    for (objection, start) in objections.iter().zip(starts) {
        assert!(objection.starts_with(start), "{objection}");
    }
}

#[test]
fn each_mistake_has_its_line_and_mend() {
    let rows = [
        ("", "line 0: FROM (the file has no FROM"),
        ("COPY a b\nFROM scratch", "line 1: COPY a b (an instruction stands before FROM"),
        ("FROM", "FROM names no image"),
        ("FROM scratch\nCOPPY a b", "line 2: COPPY a b (this is no instruction"),
        ("FROM scratch\nCOPY a", "needs a source and a target"),
        ("FROM scratch\nCOPY a b /c", "several sources need a directory"),
        ("FROM scratch\nCOPY ../a /c", "outside of the context"),
        ("FROM scratch\nCOPY a/../../b /c", "outside of the context"),
        ("FROM scratch\nCOPY https://a.b/c /c", "files of the context only"),
        ("FROM scratch\nADD https://a.b/c /c", "needs a Docker Engine: line 2: ADD https://a.b/c /c"),
        ("FROM scratch\nCOPY --chown=app a /c", "cannot be looked up"),
        ("FROM scratch\nCOPY --chmod=rwx a /c", "no octal mode"),
        ("FROM scratch\nCOPY --parents a /c", "--parents"),
        ("FROM scratch\nCOPY <<EOF /c\nx\nEOF", "here-document"),
        ("FROM scratch\nENV", "no name and value"),
        ("FROM scratch\nENV A", "no name and value"),
        ("FROM scratch\nENV A=\"x", "never closed"),
        ("FROM scratch\nEXPOSE http", "no port"),
        ("FROM scratch\nEXPOSE 70000", "no port"),
        ("FROM scratch\nUSER", "no value"),
        ("FROM scratch\nCMD", "no command"),
        ("FROM scratch\nHEALTHCHECK NONE", "needs a Docker Engine"),
        ("FROM scratch\nMAINTAINER me", "no longer used"),
        ("FROM scratch\nFROM scratch", "second stage"),
    ];
    for (text, wanted) in rows {
        let objections = objections(text);
        assert_eq!(objections.len(), 1, "{text}: {objections:#?}");
        assert!(objections[0].contains(wanted), "{text}: {objections:#?}");
    }
}

#[test]
fn a_build_argument_must_be_declared() {
    let args = BTreeMap::from([("TYPO".to_owned(), "x".to_owned())]);
    let objections = read("FROM scratch\nCOPY a /a", &args).expect_err("TYPO is not declared");
    assert!(objections[0].to_string().contains("TYPO"), "{objections:?}");
}

//! The built-ins do what their settings say, and nothing without permission.

use std::sync::Arc;

use pipeline::permission::Ability;
use sandbox::{Level, OnTimeout, Process, Verdict};

use crate::world::{PLAN, World, outputs, plugin, run};

const ECR: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic-was";

#[tokio::test]
async fn the_corridor_from_image_to_canary() {
    let world = Arc::new(World::petclinic());
    let built = outputs(run(&world, "image", r#"{"context":"./was"}"#, &[("images", "build")]).await);
    assert_eq!(built["build"], "build-1");
    assert_eq!(world.happened().builds[0].context, "was");

    let with = format!(r#"{{"to":"{ECR}","tag":"v55-f31bdcc"}}"#);
    let pushed = outputs(run(&world, "push", &with, &[("registry", ECR)]).await);
    assert_eq!(pushed["image"], format!("{ECR}:v55-f31bdcc"));
    assert_eq!(pushed["reference"], format!("{ECR}@sha256:b1"));

    let with = format!(
        r#"{{"repo":"https://github.com/user/k8s-manifests.git","path":"petclinic","image":"{}"}}"#,
        pushed["image"]
    );
    let granted = [("git", "github.com/user/k8s-manifests")];
    let bumped = outputs(run(&world, "bump", &with, &granted).await);
    assert_eq!((bumped["commit"].as_str(), bumped["changed"].as_str()), ("c0ffee", "true"));
    assert_eq!(outputs(run(&world, "bump", &with, &granted).await)["changed"], "false");

    let with = r#"{"application":"petclinic","revision":"c0ffee"}"#;
    let synced = outputs(run(&world, "sync", with, &[("cluster", "production/petclinic/*")]).await);
    assert_eq!(synced["revision"], "c0ffee");

    let with = r#"{"rollout":"petclinic/was","on-timeout":"retreat"}"#;
    let followed = outputs(run(&world, "canary", with, &[("canary", "production/petclinic/was")]).await);
    assert!(followed.is_empty(), "`outcome` is the step's own, which a plugin cannot give: {followed:?}");
    assert_eq!(world.happened().followed[0].on_timeout, OnTimeout::Retreat);
}

#[tokio::test]
async fn the_import_list_is_the_request() {
    for (name, imports) in [
        ("approve", vec![]),
        ("image", vec![Ability::Images]),
        ("push", vec![Ability::Log, Ability::Registry]),
        ("bump", vec![Ability::Log, Ability::Git]),
        ("sync", vec![Ability::Log, Ability::Cluster]),
        ("canary", vec![Ability::Canary]),
        ("slack", vec![Ability::Http, Ability::Secrets]),
        ("http", vec![Ability::Log, Ability::Http, Ability::Secrets]),
        ("scan", vec![Ability::Log, Ability::Workspace, Ability::Artifacts]),
        ("container", vec![Ability::Secrets, Ability::Containers]),
        ("terraform", vec![Ability::Log, Ability::Secrets, Ability::Terraform]),
    ] {
        assert_eq!(plugin(name).await.imports(), imports, "{name}");
    }
}

#[tokio::test]
async fn infrastructure_is_planned_and_not_destroyed_unasked() {
    let world = Arc::new(World::petclinic());
    let granted = [("terraform", "plan infra*"), ("terraform", "apply infra*"), ("secrets", "token")];
    let with = |more: &str| {
        let variables = r#"{"size":3,"password":{"secret":"token"}}"#;
        format!(r#"{{"action":"plan","folder":"./infrastructure","variables":{variables}{more}}}"#)
    };
    let refused = run(&world, "terraform", &with(""), &granted).await;
    let Verdict::Rejected { because } = refused else { panic!("{refused:?}") };
    let expected = "2 to add, 0 to change, 1 to destroy: aws_instance.db (replace); to have that, write \
                    `allow-destroy: true` in `with`";
    assert_eq!(because, expected);
    let planned = outputs(run(&world, "terraform", &with(r#","allow-destroy":true"#), &granted).await);
    assert_eq!((planned["plan"].as_str(), planned["changes"].as_str()), (PLAN, "some"));
    assert_eq!(planned["summary"], "2 to add, 0 to change, 1 to destroy");
    let variables = vec![("password".to_owned(), "hunter2".to_owned()), ("size".to_owned(), "3".to_owned())];
    assert_eq!(world.happened().plans[1], ("infrastructure".to_owned(), variables));

    let with = format!(r#"{{"action":"apply","plan":"{PLAN}"}}"#);
    let applied = outputs(run(&world, "terraform", &with, &granted).await);
    assert_eq!(applied["outputs"], r#"{"address":"10.0.0.1"}"#);
    assert_eq!(world.happened().applied[0].folder, "infrastructure");
    let mistaken = run(&world, "terraform", r#"{"action":"apply","plan":"p","folder":"x"}"#, &granted).await;
    assert!(matches!(&mistaken, Verdict::Rejected { because } if because.contains("`folder`")), "{mistaken:?}");
}

#[tokio::test]
async fn nothing_happens_without_leave() {
    let push = format!(r#"{{"to":"{ECR}","tag":"v1"}}"#);
    for (name, settings, granted, grant, value) in [
        ("image", "{}", vec![], Ability::Images, "build"),
        ("push", push.as_str(), vec![], Ability::Registry, ECR),
        ("push", push.as_str(), vec![("registry", "other.example/name")], Ability::Registry, ECR),
        (
            "bump",
            r#"{"repo":"https://h.example/a/b.git","path":"x","image":"i:v1"}"#,
            vec![],
            Ability::Git,
            "h.example/a/b",
        ),
        ("sync", r#"{"application":"petclinic"}"#, vec![], Ability::Cluster, "petclinic"),
        (
            "sync",
            r#"{"application":"petclinic"}"#,
            vec![("cluster", "staging/petclinic/*")],
            Ability::Cluster,
            "production/petclinic/petclinic",
        ),
        ("canary", r#"{"rollout":"petclinic/was"}"#, vec![], Ability::Canary, "petclinic/was"),
        ("container", r#"{"image":"alpine"}"#, vec![], Ability::Containers, "alpine"),
        ("terraform", r#"{"action":"plan"}"#, vec![], Ability::Terraform, "plan ."),
        ("slack", r#"{"text":"x"}"#, vec![], Ability::Secrets, "slack-webhook"),
    ] {
        let world = Arc::new(World::petclinic());
        match run(&world, name, settings, &granted).await {
            Verdict::Denied(denied) => {
                assert_eq!((denied.grant, denied.value.as_str()), (grant, value));
                assert_eq!(denied.help, format!("add to the step: grants: {{ {grant}: [\"{value}\"] }}"));
            }
            other => panic!("{name}: {other:?}"),
        }
        let happened = world.happened();
        assert!(happened.images.is_empty() && happened.builds.is_empty() && happened.manifests.is_empty());
        assert!(happened.synced.is_empty() && happened.followed.is_empty() && happened.containers.is_empty());
        assert!(happened.requests.is_empty() && happened.plans.is_empty() && happened.applied.is_empty());
    }
}

#[tokio::test]
async fn mistaken_settings_name_the_key_and_the_known_ones() {
    let world = Arc::new(World::petclinic());
    for (name, settings, because) in [
        ("push", r#"{"to":"h/n","tga":"v1"}"#, "with: tga: unknown field `tga`, expected one of `build`, `to`, `tag`"),
        ("push", r#"{"to":"h/n"}"#, "with: missing field `tag`"),
        (
            "push",
            r#"{"to":"petclinic","tag":"v1"}"#,
            "`petclinic` is no image repository; write `host/name`, in lower case, without a tag",
        ),
        (
            "canary",
            r#"{"rollout":"a/b","on-timeout":"explode"}"#,
            "with: on-timeout: unknown variant `explode`, expected one of `hold`, `abort`, `retreat`",
        ),
        ("container", r#"{"image":"a","run":["x"],"args":["y"]}"#, "with: write `run` or `args`, not both"),
        (
            "container",
            r#"{"image":"a","network":"host"}"#,
            "with: network: `host` is not offered; a container step reaches only itself",
        ),
        ("image", r#"{"context":"../other"}"#, "path `../other`: it may not leave the repository"),
    ] {
        let granted = [("registry", "h/n"), ("images", "build"), ("containers", "a")];
        let verdict = run(&world, name, settings, &granted).await;
        assert_eq!(verdict, Verdict::Rejected { because: because.to_owned() }, "{name} {settings}");
    }
}

#[tokio::test]
async fn slack_uses_a_secret_that_it_never_sees() {
    let world = Arc::new(World::petclinic());
    let granted = [("secrets", "slack-webhook")];
    outputs(run(&world, "slack", r##"{"text":"done: 17","channel":"#ops"}"##, &granted).await);
    let (method, url, headers, body) = world.happened().requests.remove(0);
    assert_eq!((method.as_str(), url.as_str()), ("POST", "https://hooks.slack.example/services/T0/B0/hunter2"));
    assert_eq!(headers, [("content-type".to_owned(), "application/json".to_owned())]);
    assert_eq!(body, r##"{"text":"done: 17","channel":"#ops"}"##);

    let busy = Arc::new(World { status: 503, ..World::petclinic() });
    let verdict = run(&busy, "slack", r#"{"text":"x"}"#, &granted).await;
    assert_eq!(verdict, Verdict::Transient { because: "Slack answered 503".to_owned() });
}

#[tokio::test]
async fn a_container_runs_a_program_and_not_a_line() {
    let world = Arc::new(World::petclinic());
    let with =
        r#"{"image":"maven:3.9","run":["mvn","package; rm -rf /"],"env":{"CI":true,"TOKEN":{"secret":"token"}}}"#;
    let granted = [("containers", "maven:3*"), ("secrets", "token")];
    assert_eq!(outputs(run(&world, "container", with, &granted).await)["exit-code"], "0");
    let (image, process, env) = world.happened().containers.remove(0);
    assert_eq!(image, "maven:3.9");
    assert_eq!(process, Process::Command(vec!["mvn".to_owned(), "package; rm -rf /".to_owned()]));
    assert_eq!(env, [("CI".to_owned(), "true".to_owned()), ("TOKEN".to_owned(), "hunter2".to_owned())]);

    let failing = Arc::new(World { exit: 3, ..World::petclinic() });
    let verdict = run(&failing, "container", r#"{"image":"maven:3.9"}"#, &granted).await;
    assert_eq!(verdict, Verdict::Rejected { because: "the container ended with exit code 3".to_owned() });
}

#[tokio::test]
async fn what_a_plugin_logs_is_in_the_log() {
    let world = Arc::new(World::petclinic());
    outputs(run(&world, "sync", r#"{"application":"petclinic"}"#, &[("cluster", "*/*/*")]).await);
    assert_eq!(world.happened().log, [(Level::Info, "synced to head".to_owned())]);
}

use super::*;
use serde_json::json;

fn seed() -> Value {
    json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": { "name": "petclinic", "namespace": "argocd" },
        "spec": { "project": "default",
            "source": { "repoURL": "https://github.com/user/k8s-manifests.git", "targetRevision": "HEAD", "path": "petclinic" },
            "destination": { "server": "https://kubernetes.default.svc", "namespace": "petclinic" },
            "syncPolicy": { "automated": { "prune": true, "selfHeal": true }, "syncOptions": ["CreateNamespace=true"] },
            "ignoreDifferences": [{ "group": "argoproj.io", "kind": "Rollout", "jsonPointers": ["/spec/replicas"] }] } })
}

#[test]
fn the_seed_is_read_as_it_stands() {
    let app = read(&seed()).expect("it is supported");
    assert_eq!(app.source.repo_url, "https://github.com/user/k8s-manifests.git");
    assert_eq!((app.source.target_revision.as_str(), app.source.path.as_str()), ("HEAD", "petclinic"));
    assert_eq!(app.namespace, "petclinic");
    assert_eq!(app.automated, Some(Automated { prune: Prune::On, self_heal: SelfHeal::On, empty: Empty::Refused }));
    assert_eq!(app.create_namespace, CreateNamespace::Yes);
    assert_eq!(app.rules[0].json_pointers, ["/spec/replicas"]);
    assert_eq!(app.warnings, Vec::<String>::new());
    assert_eq!(ownership(&seed()), Ownership::Observed);
}

#[test]
fn what_would_come_out_otherwise_is_refused() {
    let table = [
        (json!({ "source": { "chart": "redis" } }), "spec.source.chart"),
        (json!({ "source": { "kustomize": { "namePrefix": "x" } } }), "spec.source.kustomize"),
        (json!({ "source": { "plugin": {} } }), "spec.source.plugin names no plugin"),
        (json!({ "source": { "directory": { "include": "*.yaml" } } }), "spec.source.directory.include"),
        (json!({ "source": { "repoURL": "" } }), "spec.source.repoURL is missing"),
        (json!({ "source": { "path": "a/../../b" } }), "leaves the repository"),
        (json!({ "sources": [{ "repoURL": "a" }] }), "spec.sources"),
        (json!({ "destination": { "server": "https://other" } }), "https://other"),
        (json!({ "ignoreDifferences": "x" }), "spec.ignoreDifferences"),
    ];
    for (change, expected) in table {
        let mut app = seed();
        json_patch::merge(&mut app["spec"], &change);
        let refused = read(&app).expect_err("it is not supported");
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn a_plugin_makes_the_manifests_or_the_files_are_them() {
    assert_eq!(read(&seed()).expect("it is supported").source.maker, Maker::Files(Depth::Flat));
    let mut app = seed();
    app["spec"]["source"]["plugin"] =
        json!({ "name": "envsubst", "parameters": [{ "name": "replicas", "string": "3" }] });
    let read_app = read(&app).expect("it is supported");
    let Maker::Plugin(generator) = &read_app.source.maker else { panic!("{:?}", read_app.source) };
    assert_eq!((generator.name.as_str(), &generator.parameters["replicas"]), ("envsubst", &json!("3")));
    assert_ne!(read_app.parameters, read(&seed()).expect("it is supported").parameters);
    app["spec"]["source"]["directory"] = json!({ "recurse": true });
    assert!(read(&app).expect_err("they contradict").contains("both `directory` and `plugin`"));
}

#[test]
fn what_has_no_effect_is_said() {
    let mut app = seed();
    json_patch::merge(
        &mut app["spec"],
        &json!({ "project": "shop", "novelty": 1,
        "syncPolicy": { "retry": { "limit": 2 }, "syncOptions": ["Validate=false", "ServerSideApply=false"] } }),
    );
    let warnings = read(&app).expect("it is supported").warnings;
    assert_eq!(warnings.len(), 5, "{warnings:?}");
}

#[test]
fn parameters_change_with_what_is_applied_and_not_with_the_policy() {
    let digest = |change: Value| {
        let mut app = seed();
        json_patch::merge(&mut app["spec"], &change);
        read(&app).expect("it is supported").parameters
    };
    let plain = digest(json!({}));
    assert_eq!(plain, digest(json!({ "syncPolicy": { "automated": { "selfHeal": false } } })));
    assert_ne!(plain, digest(json!({ "source": { "path": "other" } })));
}

#[test]
fn the_older_name_of_on_abort_is_read_with_a_warning() {
    let annotated = |annotations: Value| {
        let mut app = seed();
        app["metadata"]["annotations"] = annotations;
        (on_abort(&app), read(&app).expect("it is supported").warnings)
    };
    assert_eq!(annotated(json!({})), (Ok(OnAbort::PullRequest), Vec::new()));
    assert_eq!(annotated(json!({ ON_ABORT: "revert" })), (Ok(OnAbort::Revert), Vec::new()));
    let (older, warnings) = annotated(json!({ ON_RETREAT: "hold" }));
    assert_eq!(older, Ok(OnAbort::Hold));
    assert!(warnings.len() == 1 && warnings[0].contains("is called bespin.dev/on-abort now"), "{warnings:?}");
    let (newer, warnings) = annotated(json!({ ON_RETREAT: "hold", ON_ABORT: "revert" }));
    assert_eq!(newer, Ok(OnAbort::Revert));
    assert!(warnings.len() == 1 && warnings[0].contains("has no effect"), "{warnings:?}");
    let (wrong, warnings) = annotated(json!({ ON_RETREAT: "undo" }));
    assert!(wrong.is_err_and(|error| error.starts_with("bespin.dev/on-retreat: `undo` is none of")));
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

//! Alerts that act: what is read of them, which rollout each is about, and what becomes of one in progress.

use super::super::*;
use super::world::{V55, V56, World, at_weight, settled};
use crate::by::By;
use crate::next::Phase;
use serde_json::{Value, json};

fn body(alerts: &Value) -> Vec<u8> {
    let group = json!({ "alertname": "HighErrorRate" });
    let told = json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "bespin",
        "groupLabels": group, "commonLabels": group, "commonAnnotations": {}, "externalURL": "http://alertmanager",
        "alerts": alerts,
    });
    told.to_string().into_bytes()
}

fn told(labels: &Value) -> Value {
    json!({
        "status": "firing", "labels": labels, "annotations": { "summary": "5xx above 5 %" },
        "startsAt": "2026-12-02T10:00:00.123456789Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph", "fingerprint": "0123456789abcdef",
    })
}

fn rules(text: &Value) -> Vec<AlertRule> {
    serde_json::from_value(text.clone()).unwrap()
}

/// An alert that begins to fire at this moment of a world.
fn alert(world: &World, fingerprint: &str) -> Alert {
    Alert::new("HighErrorRate", fingerprint, world.now, Some("5xx above 5 %"))
}

/// Alertmanager tells of an alert.
fn tell(world: &mut World, alert: &Alert, action: AlertAction) -> Result<(), String> {
    let entry = heed_alert(&world.state(), alert, action)?;
    // What cannot be read again is lost in a restart.
    let entry = serde_json::from_value(serde_json::to_value(entry).unwrap()).unwrap();
    world.journal.push((world.now, By::Alert(alert.author()), entry));
    Ok(())
}

/// The newest version at its pause at this weight.
fn paused_at(weight: u32) -> World {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, weight);
    world.turn();
    world.now += 1_000;
    world
}

#[test]
fn a_notification_is_read_as_alertmanager_writes_it() {
    let labels = json!({ "alertname": "HighErrorRate", "rollout": "was" });
    let mut over = told(&labels);
    over["status"] = json!("resolved");
    over["annotations"] = json!({});
    let read = read_notification(&body(&json!([told(&labels), over]))).unwrap();
    assert_eq!(read.alerts.len(), 2);
    let Alert { name, fingerprint, started_at, summary } = &read.alerts[0].alert;
    assert_eq!((name.as_str(), fingerprint.as_str()), ("HighErrorRate", "0123456789abcdef"));
    assert_eq!((*started_at, summary.as_deref()), (1_796_205_600_123, Some("5xx above 5 %")));
    assert_eq!((read.alerts[0].state, read.alerts[1].state), (AlertState::Firing, AlertState::Resolved));
    assert_eq!(read.alerts[1].alert.summary, None);
    // What comes from outside is bounded, and on one line.
    let mut loud = told(&json!({ "alertname": "a\nb\u{1b}[31m" }));
    loud["annotations"]["summary"] = json!("é ".repeat(5_000));
    let alert = read_notification(&body(&json!([loud]))).unwrap().alerts.remove(0).alert;
    assert_eq!(alert.name, "a b [31m");
    assert_eq!(alert.summary.unwrap().chars().count(), 203);
}

#[test]
fn what_is_no_notification_is_told_with_its_place() {
    let spoiled = |field: &str, value: Value| {
        let mut one = told(&json!({}));
        one[field] = value;
        body(&json!([one]))
    };
    let replaced = |from: &str, to: &str| String::from_utf8(body(&json!([]))).unwrap().replace(from, to).into_bytes();
    for (what, body, said) in [
        ("no JSON", b"{\"version\":".to_vec(), "`webhook_configs`"),
        ("a list", b"[]".to_vec(), "no notification of Alertmanager"),
        ("without a version", b"{}".to_vec(), "/version is missing"),
        ("another version", replaced("\"4\"", "\"5\""), "/version is \"5\", and this server reads \"4\""),
        ("without alerts", b"{\"version\":\"4\"}".to_vec(), "missing field `alerts`"),
        ("no time", spoiled("startsAt", json!("soon")), "/alerts/0/startsAt is \"soon\""),
        ("no fingerprint", spoiled("fingerprint", json!("")), "/alerts/0/fingerprint is not"),
        ("a path", spoiled("fingerprint", json!("../etc")), "/alerts/0/fingerprint is not"),
        ("another state", spoiled("status", json!("pending")), "`pending`"),
    ] {
        let error = read_notification(&body).expect_err(what);
        assert!(error.contains(said), "{what}: {error}");
    }
}

#[test]
fn the_first_rule_that_fits_says_what_an_alert_does_and_to_whom() {
    let rules = rules(&json!([
        { "match": { "severity": "critical", "team": "" }, "do": "abort" },
        { "match": { "alertname": "Latency" }, "do": "pause", "namespace": "petclinic", "rollout": "was" },
        { "match": { "severity": "warning" }, "do": "pause", "cluster": "test" },
    ]));
    let one = vec!["production".to_owned()];
    let two = vec!["production".to_owned(), "test".to_owned()];
    let was = json!({ "severity": "critical", "namespace": "petclinic", "rollout": "was" });
    let with = |labels: &Value, name: &str, value: &str| {
        let mut labels = labels.clone();
        labels[name] = json!(value);
        labels
    };
    for (what, labels, clusters, planned) in [
        ("its labels name it", was.clone(), &one, Ok(("rollout/production/petclinic/was", AlertAction::Abort))),
        ("which cluster?", was.clone(), &two, Err("no label `cluster`; add one to the alerting rule")),
        ("that one", with(&was, "cluster", "test"), &two, Ok(("rollout/test/petclinic/was", AlertAction::Abort))),
        ("none of ours", with(&was, "cluster", "eu-1"), &one, Err("no cluster `eu-1`, only `production`")),
        ("another team's", with(&was, "team", "shop"), &one, Err("no rule of this hook matches its labels")),
        ("which rollout?", json!({ "severity": "critical" }), &one, Err("no label `namespace`")),
        ("an empty label is none", with(&was, "rollout", ""), &one, Err("no label `rollout`")),
        ("a path", with(&was, "rollout", "../x"), &one, Err("`../x`, which is no name")),
        (
            "the rule names it",
            json!({ "alertname": "Latency", "namespace": "monitoring" }),
            &one,
            Ok(("rollout/production/petclinic/was", AlertAction::Pause)),
        ),
        (
            "the rule names the cluster",
            with(&with(&was, "severity", "warning"), "cluster", "eu-1"),
            &two,
            Ok(("rollout/test/petclinic/was", AlertAction::Pause)),
        ),
    ] {
        let read = read_notification(&body(&json!([told(&labels)]))).unwrap();
        let found = plan_alerts(&rules, clusters, read).remove(0).asks;
        match (&found, planned) {
            (Ok((stream, action)), Ok(planned)) => assert_eq!((stream.as_str(), *action), planned, "{what}"),
            (Err(because), Err(part)) => assert!(because.contains(part), "{what}: {because}"),
            _ => panic!("{what}: {found:?}"),
        }
    }
}

#[test]
fn an_alert_that_is_over_asks_for_nothing_and_aborts_come_first() {
    let rules = rules(&json!([{ "match": { "severity": "warning" }, "do": "pause" }, { "do": "abort" }]));
    let labels = |severity: &str| json!({ "severity": severity, "namespace": "petclinic", "rollout": "was" });
    let mut over = told(&labels("critical"));
    over["status"] = json!("resolved");
    let read = read_notification(&body(&json!([over, told(&labels("warning")), told(&labels("critical"))]))).unwrap();
    let planned = plan_alerts(&rules, &["production".to_owned()], read);
    let does: Vec<_> = planned.iter().map(|one| one.asks.as_ref().ok().map(|(_, action)| *action)).collect();
    assert_eq!(does, [Some(AlertAction::Abort), None, Some(AlertAction::Pause)]);
    assert!(planned[1].asks.as_ref().unwrap_err().contains("neither aborts nor resumes"));
}

#[test]
fn an_alert_sends_a_rollout_in_progress_back_once() {
    let mut world = paused_at(25);
    let one = alert(&world, "aa");
    tell(&mut world, &one, AlertAction::Abort).unwrap();
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Degraded", Some(0)), "{:?}", world.said);
    assert_eq!(world.running(), [(V55.to_owned(), 2)]);
    let because = "asked for by the alert HighErrorRate (5xx above 5 %)";
    assert!(world.status("message").as_str().unwrap().ends_with(because), "{}", world.status("message"));
    assert!(world.said.1.contains(because), "{:?}", world.said);
    let again = tell(&mut world, &one, AlertAction::Abort).unwrap_err();
    assert!(again.contains("already"), "{again}");
    let other = alert(&world, "bb");
    let other = tell(&mut world, &other, AlertAction::Pause).unwrap_err();
    assert!(other.contains("no canary is on its way"), "{other}");
    // Who retries while it still fires has decided so; one that fires anew counts again.
    world.now += 1_000;
    world.ask(Action::Retry);
    world.run_until(|world| world.served() == Some(25));
    let still = tell(&mut world, &one, AlertAction::Abort).unwrap_err();
    assert!(still.contains("before this version began"), "{still}");
    let anew = alert(&world, "aa");
    tell(&mut world, &anew, AlertAction::Abort).unwrap();
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Degraded", Some(0)), "{:?}", world.said);
}

#[test]
fn an_alert_that_fired_before_a_version_began_is_not_that_versions() {
    let mut world = settled(World::seed());
    let before = alert(&world, "aa");
    assert!(tell(&mut world, &before, AlertAction::Pause).unwrap_err().contains("no canary"), "nothing is on its way");
    world.now += 1_000;
    world.deploy(V56);
    let mut world = at_weight(world, 10);
    for action in [AlertAction::Abort, AlertAction::Pause] {
        let because = tell(&mut world, &before, action).unwrap_err();
        assert!(because.contains("before this version began"), "{because}");
    }
    world.settle();
    assert_eq!(world.running(), [(V56.to_owned(), 2)], "what mends an alert is rolled out");
}

#[test]
fn an_alert_holds_a_rollout_until_a_person_resumes_it() {
    let mut world = paused_at(25);
    let one = alert(&world, "aa");
    tell(&mut world, &one, AlertAction::Pause).unwrap();
    world.settle();
    world.now += 24 * 3_600_000;
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Paused", Some(25)), "{:?}", world.said);
    assert_eq!(world.status("message"), "PausedByAlert: HighErrorRate (5xx above 5 %)");
    assert_eq!(world.status("pauseConditions")[0]["reason"], "PausedByAlert");
    assert_eq!(world.status("controllerPause"), true);
    let (phase, said) = &world.said;
    assert_eq!(*phase, Phase::Blocked);
    assert!(said.contains("paused by the alert HighErrorRate (5xx above 5 %): step 2 of 4, 25 %"), "{said}");
    let Observed::Present(live) = world.observed() else { panic!("the Rollout is there") };
    let offers = show(&world.state(), &live, world.now).offers;
    assert!(offers.iter().any(|offer| offer.action == Action::Resume && offer.effect.contains("alert")), "{offers:?}");
    // Whoever tells of it again, or of another, changes nothing.
    assert!(tell(&mut world, &one, AlertAction::Pause).unwrap_err().contains("already"));
    let two = alert(&world, "bb");
    assert!(tell(&mut world, &two, AlertAction::Pause).unwrap_err().contains("HighErrorRate holds it already"));

    world.ask(Action::Resume);
    world.run_until(|world| world.served() == Some(50));
    assert_eq!(world.served(), Some(50), "its own pause was over long ago: {:?}", world.said);
    assert!(tell(&mut world, &one, AlertAction::Pause).unwrap_err().contains("already"), "a person has seen it");
    tell(&mut world, &two, AlertAction::Pause).expect("nobody has seen this one");
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Paused", Some(50)));
    world.ask(Action::PromoteFull);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]));
}

#[test]
fn a_held_rollout_can_be_aborted_and_another_version_is_not_held() {
    let mut world = paused_at(25);
    let held = alert(&world, "aa");
    tell(&mut world, &held, AlertAction::Pause).unwrap();
    world.settle();
    let worse = alert(&world, "bb");
    tell(&mut world, &worse, AlertAction::Abort).unwrap();
    world.settle();
    assert_eq!((world.phase(), world.served()), ("Degraded", Some(0)));
    assert_eq!(world.status("pauseConditions"), &Value::Null);

    let mut world = paused_at(25);
    tell(&mut world, &held, AlertAction::Pause).unwrap();
    world.settle();
    world.now += 1_000;
    world.deploy("was:v57-mended");
    world.settle();
    assert_eq!(world.running(), [("was:v57-mended".to_owned(), 2)], "{:?}", world.said);
}

#[test]
fn no_version_is_promoted_while_an_alert_holds_it() {
    let mut world = paused_at(75);
    world.run_until(|world| world.at() == 4 && world.served() == Some(100));
    assert_eq!(world.phase(), "Progressing", "{:?}", world.said);
    let late = alert(&world, "aa");
    tell(&mut world, &late, AlertAction::Pause).unwrap();
    world.settle();
    world.now += 24 * 3_600_000;
    world.settle();
    assert_eq!(world.phase(), "Paused", "{:?}", world.said);
    assert!(world.said.1.contains("all steps are done"), "{:?}", world.said);
    assert_ne!(world.status("stableRS"), world.status("currentPodHash"));
    world.ask(Action::Resume);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]));
}

#[test]
fn argos_promote_ends_the_hold_of_an_alert_and_not_the_steps_pause() {
    let mut world = World::seed();
    world.rollout["spec"]["strategy"]["canary"]["steps"] =
        json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}]);
    let mut world = settled(world);
    world.deploy(V56);
    world.settle();
    let one = alert(&world, "aa");
    tell(&mut world, &one, AlertAction::Pause).unwrap();
    world.settle();
    assert_eq!(world.status("pauseConditions").as_array().unwrap().len(), 2);
    for (at, said) in [(1, "CanaryPauseStep"), (3, "CanaryPauseStep")] {
        world.rollout["status"]["pauseConditions"] = json!(null);
        world.settle();
        assert_eq!((world.at(), world.status("message")), (at, &json!(said)), "{:?}", world.said);
    }
}

#[test]
fn a_hold_and_what_was_heeded_outlast_a_summary() {
    let mut world = paused_at(25);
    let one = alert(&world, "aa");
    tell(&mut world, &one, AlertAction::Pause).unwrap();
    world.settle();
    let summary = serde_json::to_value(world.state().summary()).unwrap();
    world.journal = vec![(world.now, By::Server, serde_json::from_value(summary).unwrap())];
    world.settle();
    assert_eq!(world.phase(), "Paused", "{:?}", world.said);
    assert!(heed_alert(&world.state(), &one, AlertAction::Abort).unwrap_err().contains("already"));
}

#[test]
fn a_hold_that_the_journal_has_lost_is_taken_from_the_status() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    let backup = world.journal.len();
    let mut world = at_weight(world, 25);
    world.now += 1_000;
    let one = alert(&world, "aa");
    tell(&mut world, &one, AlertAction::Pause).unwrap();
    world.settle();
    world.journal.truncate(backup);
    world.restored = backup;
    world.settle();
    world.now += 24 * 3_600_000;
    world.settle();
    assert_eq!((world.phase(), world.served(), world.at()), ("Paused", Some(25), 1), "{:?}", world.said);
    assert!(world.said.1.contains("paused by the alert HighErrorRate (5xx above 5 %)"), "{:?}", world.said);
    assert!(heed_alert(&world.state(), &one, AlertAction::Abort).unwrap_err().contains("before this version began"));
    world.ask(Action::Resume);
    world.settle();
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V56.to_owned(), 2)]));
}

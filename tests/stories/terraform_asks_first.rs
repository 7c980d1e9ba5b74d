//! Infrastructure by a real Terraform: what it would do is shown, nothing is destroyed unasked, a person is asked, and
//! exactly what was planned is applied, whatever becomes of the server in between.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;
use world::terraform::{LOGIN, States};
use world::{given, has, missing};

/// A plan, and an apply that somebody is asked about. The first step may be told more.
fn pipeline(with: &str) -> String {
    format!(
        "name: terraform\non: {{ push: {{ branches: [main], paths: [\"**/*.tf\"] }} }}\nsteps:\n  - id: plan\n    \
         uses: terraform\n    with: {{ action: plan, folder: infrastructure{with} }}\n    \
         grants: {{ terraform: [plan infrastructure], secrets: [database] }}\n  - id: apply\n    \
         uses: terraform\n    if: steps.plan.changes == 'some'\n    \
         approval: {{ ask: \"Apply ${{{{ steps.plan.summary }}}}?\" }}\n    \
         with: {{ action: apply, plan: \"${{{{ steps.plan.plan }}}}\" }}\n    \
         grants: {{ terraform: [apply infrastructure] }}\n"
    )
}

/// A secret of the server's that the pipeline may use and not see.
const DATABASE: &str = "correct-horse-battery";

struct World {
    estate: Estate,
    states: States,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> World {
        let states = States::start().await;
        // Terraform's user may pass it, as it may pass no folder of the estate.
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let (password, database) = (folder.path().join("password"), folder.path().join("database"));
        std::fs::write(&password, LOGIN.1).expect("a file can be written");
        std::fs::write(&database, DATABASE).expect("a file can be written");
        for secret in [&password, &database] {
            private(secret);
        }
        // One that is installed is found by itself.
        let built = given("BESPIN_TOFU").filter(|_| !has("terraform") && !has("tofu"));
        let binary = built.map_or_else(String::new, |tofu| {
            // It may lie where only root passes.
            let program = folder.path().join("tofu");
            std::fs::copy(tofu, &program).expect("a program can be copied");
            format!("binary = \"{}\"\n", program.display())
        });
        let more = format!(
            r#"
[terraform]
work = "{}"
as = "the-server"
{binary}env = {{ TF_HTTP_USERNAME = "{}", TF_HTTP_PASSWORD = {{ file = "{}" }} }}

[secret]
database = {{ file = "{}" }}

[[policy]]
repository = "user/petclinic"
pipeline = ".bespin/terraform.yaml"
plugins = ["terraform"]
[policy.grants]
terraform = ["plan infrastructure", "apply infrastructure", "plan link"]
secrets = ["database"]
"#,
            folder.path().join("work").display(),
            LOGIN.0,
            password.display(),
            database.display(),
        );
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(folder.path(), open).expect("a folder has a mode");
        let estate = Estate::configured(Kind::Embedded, "1s", |config| config.with(&more)).await;
        World { estate, states, _folder: folder }
    }

    /// Pushes a configuration; answers the run's commit and id.
    async fn push(&self, with: &str, resources: &str) -> (String, String) {
        let main = self.states.backend() + "variable \"password\" {\n  default = \"none\"\n}\n" + resources;
        let files = [(".bespin/terraform.yaml", pipeline(with)), ("infrastructure/main.tf", main)];
        let pushed = self.estate.push(&files, "Change the infrastructure").await;
        let id = eventually("the run is open", PATIENCE, || async {
            let runs = self.estate.dashboard().await.get("runs").await;
            let mut rows = runs["runs"].as_array()?.iter();
            let row = rows.find(|row| row["run"]["sha"] == pushed.after.as_str())?;
            row["run"]["id"].as_str().map(str::to_owned)
        });
        let id = id.await;
        (pushed.after, id)
    }

    async fn asked(&self, run: &str) -> String {
        eventually("a person is asked", PATIENCE, || async {
            let page = self.estate.dashboard().await.get(&format!("runs/{run}")).await;
            assert_ne!(page["run"]["state"], "failed", "{page:#}\n{}", self.log(run, "plan"));
            let step = &page["steps"][1];
            (step["summary"]["state"] == "asking")
                .then(|| step["approval"]["ask"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    async fn approve(&self, run: &str) {
        let (status, said) = self.estate.dashboard().await.press(&format!("runs/{run}/steps/apply/approve")).await;
        assert_eq!(status, 204, "{said}");
    }

    fn log(&self, run: &str, step: &str) -> String {
        log(self.estate.dir(), run, step, 1)
    }

    /// How a step ended at last, as the journal has it.
    fn outcome(&self, run: &str, step: &str) -> Value {
        let entries = self.estate.bespin.journal(&format!("run/{run}"));
        let mut ends = entries.iter().rev().filter(|entry| entry["kind"] == "ended");
        let end = ends.find(|entry| entry["body"]["step"] == step);
        end.map(|entry| entry["body"]["outcome"].clone()).unwrap_or_default()
    }
}

fn private(file: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(file, mode).expect("a file has a mode");
}

fn log(dir: &Path, run: &str, step: &str, attempt: u32) -> String {
    let file = dir.join("data/logs").join(run).join(step).join(format!("{attempt}.ndjson"));
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| serde_json::from_str::<Value>(line).ok()?["text"].as_str().map(str::to_owned);
    text.lines().filter_map(line).collect::<Vec<_>>().join("\n")
}

fn resource(input: &str, replace: &str) -> String {
    format!(
        "resource \"terraform_data\" \"web\" {{\n  input            = \"{input}\"\n  triggers_replace = \"{replace}\"\n}}\n\
         output \"address\" {{\n  value = terraform_data.web.output\n}}\n\
         output \"hidden\" {{\n  value     = \"told-to-nobody\"\n  sensitive = true\n}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn terraform_asks_first() {
    if missing("Terraform or OpenTofu", has("terraform") || has("tofu") || given("BESPIN_TOFU").is_some()) {
        return;
    }
    let mut world = World::start().await;
    what_was_planned_is_applied_after_a_person_and_a_crash(&mut world).await;
    nothing_is_destroyed_unasked(&world).await;
    the_servers_secrets_stay_the_servers(&world).await;
    what_cannot_be_planned_says_why(&world).await;
    attacks_end_as_the_table_says(&world).await;
    an_apply_that_was_cut_off_is_not_claimed(&mut world).await;
}

async fn what_was_planned_is_applied_after_a_person_and_a_crash(world: &mut World) {
    let (commit, run) = world.push("", &resource("first", "a")).await;
    assert_eq!(world.asked(&run).await, "Apply 1 to add, 0 to change, 0 to destroy?");
    let planned = world.log(&run, "plan");
    assert!(planned.contains("# terraform_data.web will be created"), "the difference is shown: {planned}");
    assert_eq!(world.states.state(), None, "nothing is applied before somebody says so");

    world.estate.restart(&[]).await;
    world.approve(&run).await;
    let ended = world.estate.ended(&commit).await;
    assert_eq!(ended["state"], "succeeded", "{}", world.log(&run, "apply"));
    assert_eq!(
        world.states.attribute("web", "output").expect("it is there"),
        serde_json::json!({ "value": "first", "type": "string" })
    );
    let outputs = world.outcome(&run, "apply")["outputs"]["outputs"].clone();
    assert_eq!(outputs, r#"{"address":"first"}"#, "what is sensitive is told to nobody");

    let (commit, run) = world.push("", &(resource("first", "a") + "# a comment\n")).await;
    assert_eq!(world.estate.ended(&commit).await["state"], "succeeded");
    let outputs = world.outcome(&run, "plan")["outputs"].clone();
    assert_eq!(
        (&outputs["changes"], &outputs["summary"]),
        (&"none".into(), &"0 to add, 0 to change, 0 to destroy".into())
    );
}

async fn nothing_is_destroyed_unasked(world: &World) {
    let before = world.states.state();
    let (commit, run) = world.push("", &resource("second", "b")).await;
    assert_eq!(world.estate.ended(&commit).await["state"], "failed");
    let because = world.outcome(&run, "plan").to_string();
    for part in ["terraform_data.web (replace)", "1 to add, 0 to change, 1 to destroy", "`allow-destroy: true`"] {
        assert!(because.contains(part), "{part} is not in {because}");
    }
    assert_eq!(world.states.state(), before);

    let (commit, run) = world.push(", allow-destroy: true", &resource("second", "b")).await;
    assert_eq!(world.asked(&run).await, "Apply 1 to add, 0 to change, 1 to destroy?");
    world.approve(&run).await;
    assert_eq!(world.estate.ended(&commit).await["state"], "succeeded", "{}", world.log(&run, "apply"));
    assert_eq!(world.states.attribute("web", "input").expect("it is there")["value"], "second");
}

async fn the_servers_secrets_stay_the_servers(world: &World) {
    let data = world.estate.dir().join("data").display().to_string();
    // No other sleep of this machine has this length.
    let sleep = format!("sleep 3600.{}", std::process::id());
    let command = format!(
        "id -u; env; ls -l /proc/self/fd; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\\\0' '\\\\n'; \
         ls {data} || echo closed; echo own=$TF_VAR_password; setsid {sleep} >/dev/null 2>&1 & echo started"
    );
    let curious = format!(
        "resource \"terraform_data\" \"curious\" {{\n  input = var.password\n  provisioner \"local-exec\" {{\n    \
         command = \"{command}\"\n  }}\n}}\n"
    );
    let with = ", variables: { password: { secret: database } }";
    let (commit, run) = world.push(with, &(resource("second", "b") + &curious)).await;
    world.asked(&run).await;
    world.approve(&run).await;
    assert_eq!(world.estate.ended(&commit).await["state"], "succeeded", "{}", world.log(&run, "apply"));
    let told = [world.log(&run, "plan"), world.log(&run, "apply")].concat();
    assert!(told.contains("TF_IN_AUTOMATION=1") && told.contains("started"), "{told}");
    let hidden = ["STORIES_", world::estate::HOOK_SECRET, LOGIN.1, DATABASE];
    for secret in hidden {
        assert!(!told.contains(secret), "{secret} is in {told}");
    }
    assert_eq!(world.states.attribute("curious", "input").expect("it is there")["value"], DATABASE, "it was used");
    if told.contains("(local-exec): 0\n") {
        panic!("Terraform was root: {told}");
    }
    let is_root =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(world.estate.dir()).expect("it is there")) == 0;
    assert!(!is_root || told.contains("closed"), "the server's folder is open: {told}");
    let pattern = format!("^{}$", sleep.replace('.', "[.]"));
    let left = std::process::Command::new("pgrep").args(["-f", &pattern]).output().expect("pgrep runs");
    assert_eq!(left.status.code(), Some(1), "a process outlived its step: {left:?}");
}

async fn what_cannot_be_planned_says_why(world: &World) {
    for (with, because) in [(", workspace: nowhere", "workspaces not supported"), (", destroy: true", "(destroy)")] {
        let (commit, run) = world.push(with, &resource("second", "b")).await;
        assert_eq!(world.estate.ended(&commit).await["state"], "failed");
        let outcome = world.outcome(&run, "plan").to_string();
        assert!(outcome.contains(because), "{because} is not in {outcome}");
    }
    // A state that would vanish with the step.
    let files = [
        (".bespin/terraform.yaml", pipeline("")),
        ("infrastructure/main.tf", "resource \"terraform_data\" \"lost\" {}\n".to_owned()),
    ];
    let pushed = world.estate.push(&files, "Forget the backend").await;
    let run = world.estate.ended(&pushed.after).await["id"].as_str().expect("an id").to_owned();
    let outcome = world.outcome(&run, "plan").to_string();
    assert!(outcome.contains("configure a backend"), "{outcome}");
}

/// What `plugins/hostile/attacks.toml` leaves to this story, with what each has to be told.
fn attacks() -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/hostile/attacks.toml");
    let table: toml::Value = toml::from_str(&std::fs::read_to_string(file).expect("it is there")).expect("it is TOML");
    let text = |row: &toml::Value, key: &str| row.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let rows = table["attack"].as_array().expect("a list").iter().filter(|row| text(row, "by") == "terraform");
    rows.map(|row| (text(row, "name"), text(row, "says"))).collect()
}

async fn attacks_end_as_the_table_says(world: &World) {
    let mut attacks = attacks();
    let mut ends = |name: &str, outcome: Value| {
        let says = attacks.remove(name).expect("the table has it");
        let is_refused = outcome["is"] == "rejected" || outcome["is"] == "failed";
        assert!(is_refused && outcome.to_string().contains(&says), "{name}: {outcome}");
    };
    // A plan that a run has made, and nobody has applied.
    let with = ", allow-destroy: true";
    let (first, planned) = world.push(with, &resource("third", "c")).await;
    world.asked(&planned).await;
    let plan = world.outcome(&planned, "plan")["outputs"]["plan"].as_str().expect("a digest").to_owned();

    let of_another =
        pipeline(with).replace("${{ steps.plan.plan }}", &plan).replace("steps.plan.changes == 'some'", "true");
    let of_another = of_another.replace("    approval: { ask: \"Apply ${{ steps.plan.summary }}?\" }\n", "");
    let main = world.states.backend() + &resource("second", "b");
    let files = [(".bespin/terraform.yaml", of_another), ("infrastructure/main.tf", main)];
    let pushed = world.estate.push(&files, "Apply what another run has planned").await;
    let run = world.estate.ended(&pushed.after).await["id"].as_str().expect("an id").to_owned();
    ends("terraform-other-run", world.outcome(&run, "apply"));

    let digits = plan.trim_start_matches("sha256:");
    let kept = world.estate.dir().join("data/plans").join(&planned).join(digits).join("plan");
    let mut altered = std::fs::read(&kept).expect("the plan is kept");
    *altered.last_mut().expect("a plan is not empty") ^= 1;
    std::fs::write(&kept, altered).expect("a file can be written");
    world.approve(&planned).await;
    assert_eq!(world.estate.ended(&first).await["state"], "failed");
    ends("terraform-altered", world.outcome(&planned, "apply"));

    world.estate.application().link("link", "/etc");
    let files = [
        (
            ".bespin/terraform.yaml",
            pipeline("")
                .replace("folder: infrastructure", "folder: link")
                .replace("[plan infrastructure]", "[plan link]"),
        ),
        ("infrastructure/more.tf", String::new()),
    ];
    let pushed = world.estate.push(&files, "Plan what a link leads to").await;
    let run = world.estate.ended(&pushed.after).await["id"].as_str().expect("an id").to_owned();
    ends("terraform-link", world.outcome(&run, "plan"));
    assert!(attacks.is_empty(), "{attacks:?} were not carried out");
}

async fn an_apply_that_was_cut_off_is_not_claimed(world: &mut World) {
    let slow = "resource \"terraform_data\" \"slow\" {\n  provisioner \"local-exec\" {\n    command = \"echo begun; sleep 600\"\n  }\n}\n";
    let (commit, run) = world.push(", allow-destroy: true", &(resource("second", "b") + slow)).await;
    world.asked(&run).await;
    world.approve(&run).await;
    let begun = || async { world.log(&run, "apply").contains("(local-exec): begun").then_some(()) };
    eventually("the apply is under way", PATIENCE, begun).await;
    assert!(world.states.is_locked());
    world.estate.restart(&[]).await;
    let ended = world.estate.ended(&commit).await;
    assert_eq!(ended["state"], "failed");
    let because = world.outcome(&run, "apply").to_string();
    assert!(because.contains("begun and its end was not seen"), "{because}");
    assert!(!world.states.is_locked(), "Terraform was interrupted and let the lock go");
}

//! Where a pipeline has left numbers, for when the journal does not know its runs.
//!
//! A journal that was lost must not count from 1 again: the tags of earlier
//! runs are taken, and the trailers in the manifests name them.

use super::entry::Received;
use super::observed::{Context, KnownRun};
use super::pipelines::{Plan, plan};
use super::used_run_numbers::{Traces, of_the_base};
use crate::epoch::Epoch;
use crate::run::Opened;

/// The runs that a delivery would open with a number that rests on nothing: no
/// run of the pipeline with the same places was opened since the journal was begun or
/// restored, and no traces were looked for either. A run whose file has
/// mistakes is among them: it names no places, and yet what an earlier run left
/// in the data folder must not become its own. What the configuration says
/// was true when it was written. A pull
/// request's is shown as its base branch's own, which numbers go on from: the
/// pull request itself has no say in where the server looks for them.
pub fn unnumbered(received: &Received, context: &Context) -> Vec<Opened> {
    let open = plan(received, context).into_iter().filter_map(|plan| match plan {
        Plan::Open(opened) => Some(*opened),
        Plan::Exists { .. } | Plan::Skip { .. } => None,
    });
    open.filter(|opened| !is_numbered(opened, context)).map(of_the_base).collect()
}

/// Whether the number that a run would have rests on something: see [`unnumbered`].
pub fn is_numbered(opened: &Opened, context: &Context) -> bool {
    context.floors.contains_key(&opened.pipeline.name) || is_vouched_for(opened, &context.runs)
}

/// The same for a run that is opened once more.
pub fn unnumbered_again(old: &Opened, runs: &[KnownRun]) -> Option<Opened> {
    (!is_vouched_for(old, runs)).then(|| of_the_base(old.clone()))
}

/// Whether a run of the pipeline that was opened since the journal was begun or restored rests on the same traces. It
/// vouches for no others: what is lost may have left a number where nobody has looked since.
fn is_vouched_for(opened: &Opened, runs: &[KnownRun]) -> bool {
    let traces = Traces::of(opened);
    let vouches = |known: &KnownRun| {
        let covers = traces == Traces::FOLDERS || known.traces == traces;
        known.epoch == Epoch::This && known.pipeline == opened.pipeline.name && covers
    };
    runs.iter().any(vouches)
}

/// The highest number among tags of the form `v<number>-<seven hexadecimal digits>`.
pub fn by_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Option<u64> {
    let number = |tag: &str| {
        let (number, commit) = tag.strip_prefix('v')?.split_once('-')?;
        let is_commit = commit.len() == 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_commit.then(|| digits(number))?
    };
    tags.into_iter().filter_map(number).max()
}

/// The highest number among run ids of a pipeline, as `Bespin-Run` trailers name them.
pub fn by_trailers<'a>(repository: &str, pipeline: &str, ids: impl IntoIterator<Item = &'a str>) -> Option<u64> {
    let prefix = format!("{repository}/{pipeline}/");
    ids.into_iter().filter_map(|id| digits(id.trim().strip_prefix(&prefix)?)).max()
}

/// The highest number among the names of the folders that a pipeline's runs have.
pub fn by_folders<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<u64> {
    names.into_iter().filter_map(digits).max()
}

/// A number that another can still follow.
fn digits(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?.filter(|number| *number < u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Change, Changed, File, Paths, Push, Source, Standing};
    use crate::delivery::{Place, places};
    use crate::run::{Commit, Event, EventKind};
    use std::collections::{BTreeMap, BTreeSet};

    const FILE: &str = "name: was
on:
  push: { branches: [main] }
env: { REGISTRY: host.example }
steps:
  - id: image
    uses: image
    with: { dockerfile: Dockerfile }
  - id: push
    uses: push
    with: { to: '${{ env.REGISTRY }}/was', tag: 'v${{ run.number }}-${{ commit.short }}' }
    grants: { registry: ['${{ env.REGISTRY }}/was'] }
  - id: bump
    uses: bump
    with: { repo: 'https://host.example/user/manifests.git', path: was, image: '${{ steps.push.image }}' }
    grants: { git: [host.example/user/manifests] }
";

    fn push() -> Received {
        Received::Push(Push {
            hook: "default".into(),
            delivery: "d1".into(),
            repository: "user/petclinic".into(),
            reference: "refs/heads/main".into(),
            before: "1".repeat(40),
            after: "2".repeat(40),
            change: Change::Forward,
            pusher: "kim".into(),
            paths: Paths::Listed { paths: vec!["was/x".into()] },
            source: Source::Webhook,
        })
    }

    fn context(text: &str) -> Context {
        let mistakes = |all: Vec<pipeline::Mistake>| all.iter().map(ToString::to_string).collect();
        let file =
            File { path: ".bespin/was.yaml".into(), pipeline: pipeline::parse("was.yaml", text).map_err(mistakes) };
        Context {
            commit: Commit::default(),
            files: vec![file],
            files_at: "2".repeat(40),
            changed: Changed::Everything,
            standing: Standing::Current,
            receipt: Epoch::This,
            same: BTreeSet::new(),
            brought: Vec::new(),
            runs: Vec::new(),
            floors: BTreeMap::new(),
            configured: BTreeMap::new(),
        }
    }

    fn by_an_earlier_delivery(opened: &Opened) -> Opened {
        Opened { event: Event { delivery: "d0".into(), ..opened.event.clone() }, ..opened.clone() }
    }

    #[test]
    fn a_number_rests_on_a_readable_run_or_on_a_floor() {
        let fresh = context(FILE);
        let opened = unnumbered(&push(), &fresh);
        assert_eq!(opened.len(), 1);
        let with_floor = Context { floors: BTreeMap::from([("was".into(), 5)]), ..fresh.clone() };
        assert!(unnumbered(&push(), &with_floor).is_empty());
        let earlier = by_an_earlier_delivery(&opened[0]);
        let with_run = Context { runs: vec![KnownRun::new(&earlier)], ..fresh.clone() };
        assert!(unnumbered(&push(), &with_run).is_empty());
        let restored = KnownRun { epoch: Epoch::Restored, ..KnownRun::new(&earlier) };
        let with_backup = Context { runs: vec![restored], ..fresh.clone() };
        assert_eq!(unnumbered(&push(), &with_backup).len(), 1, "later ones may be lost");
        let with_configured = Context { configured: BTreeMap::from([("was".into(), 5)]), ..fresh.clone() };
        assert_eq!(unnumbered(&push(), &with_configured).len(), 1, "it may be of long ago");
        let nothing = pipeline::Pipeline { name: "was".into(), ..Default::default() };
        let broken = Opened { mistakes: vec!["a mistake".into()], pipeline: nothing, ..earlier };
        let with_broken = Context { runs: vec![KnownRun::new(&broken)], ..fresh };
        assert_eq!(unnumbered(&push(), &with_broken).len(), 1, "nobody looked where it names no place");
        let mistaken = unnumbered(&push(), &context("name: was\nsteps: 1\n"));
        assert_eq!(mistaken.len(), 1, "an earlier run's logs must not become its own");
        assert!(places(&mistaken[0]).is_empty(), "nobody else is asked");
    }

    #[test]
    fn a_run_vouches_for_no_place_that_was_not_looked_at_for_it() {
        let is_asked = |text: &str, earlier: &Opened| {
            let runs = vec![KnownRun::new(earlier)];
            !unnumbered(&push(), &Context { runs, ..context(text) }).is_empty()
        };
        let of_file = |text: &str| by_an_earlier_delivery(&unnumbered(&push(), &context(text))[0]);
        let own = of_file(FILE);
        assert!(!is_asked(FILE, &own), "it vouches for the next of its like");
        let on = |reference: &str, kind| Event { kind, reference: reference.into(), ..own.event.clone() };
        let of = |event| Opened { event, ..own.clone() };
        assert!(is_asked(FILE, &of(on("refs/heads/next", EventKind::Push))), "its branch may have no permission");
        assert!(is_asked(FILE, &of(on("refs/heads/main", EventKind::Manual))), "nor may what a person starts");
        let moved = FILE.replace("/was'", "/moved'");
        assert!(is_asked(&moved, &own), "the image's repository is another since");
        let by_branch = FILE.replace("/was'", "/${{ ref.name }}'");
        assert!(is_asked(&by_branch, &own) && is_asked(FILE, &of_file(&by_branch)));
        let alone = format!("{}steps:\n  - uses: approve\n", FILE.split("steps:").next().unwrap());
        assert!(!is_asked(&alone, &of(on("refs/heads/next", EventKind::Push))), "the folders were looked at for it");
    }

    #[test]
    fn the_places_are_what_push_and_bump_name() {
        let opened = unnumbered(&push(), &context(FILE)).remove(0);
        let grants = |ability: &str, value: &str| BTreeMap::from([(ability.to_owned(), vec![value.to_owned()])]);
        let manifests = Place::Manifests {
            repo: "https://host.example/user/manifests.git".into(),
            branch: None,
            grants: grants("git", "host.example/user/manifests"),
        };
        let registry =
            Place::Registry { to: "host.example/was".into(), grants: grants("registry", "host.example/was") };
        assert_eq!(places(&opened), [registry, manifests]);
    }

    #[test]
    fn tags_and_trailers_of_another_form_say_nothing() {
        let tags =
            ["v56-3f2a1bc", "v9-0123456", "latest", "v99", "v99-main", "v-0123456", "v+60-0123456", "x70-0123456"];
        assert_eq!(by_tags(tags), Some(56));
        assert_eq!(by_tags(["latest", "v18446744073709551615-0123456"]), None);
        assert_eq!(by_folders(["9", "60", ".partial", "70-old", "18446744073709551615", ""]), Some(60));
        let ids = ["user/petclinic/was/57", "user/petclinic/was/9", "user/petclinic/web/80", "other/petclinic/was/90"];
        assert_eq!(by_trailers("user/petclinic", "was", ids), Some(57));
        assert_eq!(by_trailers("user/petclinic", "was", ["user/petclinic/was/58/x", "user/petclinic/was/"]), None);
    }
}

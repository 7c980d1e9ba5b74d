//! What follows what: ids, needs and cycles.

use crate::Step;
use crate::expr;
use crate::reader::{FileReader, Placed};
use crate::tree::Node;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A step while it is read, with the places that later checks point at.
pub(crate) struct Draft<'n> {
    /// The step; its needs are resolved later.
    pub step: Step,
    /// Where its id stands.
    pub at: Range<usize>,
    /// Where it says what it uses, or else where it begins.
    pub uses_at: Range<usize>,
    /// Its `needs`, if it has any.
    pub needs: Option<Vec<Placed>>,
    pub with: Option<&'n Node>,
    pub condition: Option<&'n Node>,
    pub grants: Option<&'n Node>,
    /// The question that stands before it.
    pub ask: Option<&'n Node>,
}

/// Notes ids that stand twice.
pub(crate) fn unique<'d, 'n: 'd>(reader: &mut FileReader<'_>, drafts: impl Iterator<Item = &'d Draft<'n>>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for draft in drafts.filter(|draft| !draft.step.id.is_empty()) {
        let line = reader.source.mistake(draft.at.clone(), "", "").line;
        match seen.get(draft.step.id.as_str()) {
            Some(first) => {
                let message = format!("the step `{}` stands here a second time, first in line {first}", draft.step.id);
                reader.wrong(&draft.at, message, "give one of them another `id`");
            }
            None => drop(seen.insert(&draft.step.id, line)),
        }
    }
}

/// What each step needs: what it says, or the step before it.
pub(crate) fn resolve(
    reader: &mut FileReader<'_>,
    drafts: &[Draft<'_>],
    what: &str,
    others: &[Draft<'_>],
) -> Vec<Vec<String>> {
    let known: BTreeSet<&str> = drafts.iter().map(|draft| draft.step.id.as_str()).collect();
    let mut resolved = Vec::new();
    let mut before: Option<&str> = None;
    for draft in drafts {
        let needs = match &draft.needs {
            None => before.map(str::to_owned).into_iter().collect(),
            Some(needs) => {
                let mut good: Vec<String> = Vec::new();
                for (need, at) in needs {
                    if let Some((message, help)) = refuse(need, &draft.step.id, what, &known, others) {
                        reader.wrong(at, message, help);
                    } else if !good.contains(need) {
                        good.push(need.clone());
                    }
                }
                good
            }
        };
        resolved.push(needs);
        before = Some(&draft.step.id).filter(|id| !id.is_empty()).map(String::as_str);
    }
    cycles(reader, drafts, &resolved);
    resolved
}

fn refuse(need: &str, id: &str, what: &str, known: &BTreeSet<&str>, others: &[Draft<'_>]) -> Option<(String, String)> {
    if need == id {
        return Some((format!("step `{id}` needs itself"), "leave it out".into()));
    }
    if known.contains(need) {
        return None;
    }
    if others.iter().any(|other| other.step.id == need) {
        return Some(match what {
            "finally" => {
                (format!("`{need}` is one of the steps"), "leave it out: `finally` waits for all of them".into())
            }
            _ => (format!("`{need}` is in `finally`, which comes last"), "move it to `steps`, or leave it out".into()),
        });
    }
    let near = expr::did_you_mean(need, known.iter().copied());
    Some((format!("there is no step `{need}`"), near.unwrap_or_else(|| "name the `id` of another step".into())))
}

/// Notes each cycle once, step by step.
fn cycles(reader: &mut FileReader<'_>, drafts: &[Draft<'_>], needs: &[Vec<String>]) {
    let index: BTreeMap<&str, usize> =
        drafts.iter().enumerate().map(|(n, draft)| (draft.step.id.as_str(), n)).collect();
    if index.len() < drafts.len() {
        // An id that stands twice, or is missing, makes circles that nobody wrote.
        return;
    }
    let mut done: BTreeSet<usize> = BTreeSet::new();
    for start in 0..drafts.len() {
        // Walk with a path of one's own, so that depth costs no stack.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((step, next)) = path.last().copied() {
            let need = needs[step].get(next).and_then(|need| index.get(need.as_str()).copied());
            if next >= needs[step].len() || done.contains(&step) {
                done.insert(step);
                path.pop();
                continue;
            }
            if let Some(last) = path.last_mut() {
                last.1 += 1;
            }
            let Some(need) = need.filter(|need| !done.contains(need)) else { continue };
            match path.iter().position(|(on, _)| *on == need) {
                Some(from) => {
                    let id = |n: usize| format!("`{}`", drafts[n].step.id);
                    let mut told: Vec<String> = path[from..].iter().map(|(n, _)| id(*n)).collect();
                    told.push(id(need));
                    let told: Vec<String> =
                        told.windows(2).map(|pair| format!("{} needs {}", pair[0], pair[1])).collect();
                    let help = format!(
                        "take one of these out of its step's `needs`, such as {} out of {}",
                        id(need),
                        id(step)
                    );
                    reader.wrong(
                        &drafts[need].at,
                        format!("steps need each other in a circle: {}", told.join(", ")),
                        help,
                    );
                }
                None => path.push((need, 0)),
            }
        }
    }
}

/// The ids of everything that has ended before each step starts.
pub(crate) fn ancestors(drafts: &[Draft<'_>], needs: &[Vec<String>]) -> Vec<BTreeSet<String>> {
    let by_id: BTreeMap<&str, &Vec<String>> = drafts.iter().map(|draft| draft.step.id.as_str()).zip(needs).collect();
    let one = |needs: &Vec<String>| {
        let (mut found, mut open) = (BTreeSet::new(), needs.clone());
        while let Some(id) = open.pop() {
            open.extend(
                by_id
                    .get(id.as_str())
                    .into_iter()
                    .flat_map(|needs| needs.iter())
                    .filter(|id| !found.contains(*id))
                    .cloned(),
            );
            found.insert(id);
        }
        found
    };
    needs.iter().map(one).collect()
}

//! Which application a name means: as steps name it, and as people do.

use super::SyncStage;
use crate::drive::{Drivers, Trouble};
use api::commands::NotTaken;
use cluster::Cluster;
use decide::stream::{Family, Stream};
use decide::sync::object;

/// How many names are offered in place of one that nobody bears.
const OFFERED: usize = 3;

/// How alike a name must be to be meant, of 1.
const ALIKE: f64 = 0.75;

impl SyncStage {
    /// The streams of the applications that a name may mean: `name`, `namespace/name`, or with the cluster as well.
    /// The clusters are asked, so that the answer does not depend on what was looked at since the start. Of one that
    /// does not answer, the journal knows the applications.
    ///
    /// # Errors
    /// Nothing is found, and a cluster cannot be read.
    pub async fn named(&self, drivers: &Drivers, name: &str) -> Result<Vec<Stream>, Trouble> {
        let (mut found, mut away) = (Vec::new(), None);
        let whole = (name.split('/').count() == 3).then(|| name.split('/').next()).flatten();
        for (place, cluster) in self.clusters.iter().filter(|(place, _)| whole.is_none_or(|whole| whole == *place)) {
            match applications(place, cluster).await {
                Ok(there) => found.extend(there.into_iter().filter(|stream| is_meant(stream, name))),
                Err(trouble) => {
                    let known = drivers.streams(Family::App).await?.into_iter();
                    let here = |stream: &Stream| stream.object().is_some_and(|(of, ..)| of == place);
                    found.extend(known.filter(|stream| here(stream) && is_meant(stream, name)));
                    away = Some(trouble);
                }
            }
        }
        match away {
            Some(trouble) if found.is_empty() => Err(trouble),
            _ => Ok(found),
        }
    }

    /// The one application that a person means by a name.
    ///
    /// # Errors
    /// None has this name, or several have it, and then which there are; or a cluster that may have it cannot be read.
    pub async fn one_named(&self, name: &str) -> Result<Stream, NotTaken> {
        let parts: Vec<&str> = name.split('/').collect();
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) {
            let forms = "write NAME, NAMESPACE/NAME or CLUSTER/NAMESPACE/NAME";
            return Err(NotTaken::NoObject(format!("`{name}` names no application; {forms}")));
        }
        let place = (parts.len() == 3).then(|| parts[0]);
        if let Some(place) = place.filter(|place| !self.clusters.contains_key(*place)) {
            let known = list(self.clusters.keys().map(String::as_str));
            return Err(NotTaken::NoObject(format!("this server has no cluster `{place}`; it has {known}")));
        }
        let (mut all, mut unread) = (Vec::new(), Vec::new());
        for (here, cluster) in self.clusters.iter().filter(|(here, _)| place.is_none_or(|place| place == *here)) {
            match applications(here, cluster).await {
                Ok(found) => all.extend(found),
                Err(trouble) => unread.push(format!("cluster `{here}` cannot be read: {}", trouble.message)),
            }
        }
        one_of(name, &all, &unread)
    }
}

async fn applications(place: &str, cluster: &Cluster) -> Result<Vec<Stream>, Trouble> {
    let kind = cluster.kind("argoproj.io/v1alpha1", "Application").await?;
    let objects = cluster.list(&kind, None).await?;
    Ok(objects.iter().map(|one| Stream::app(place, object::namespace(one), object::name(one))).collect())
}

fn is_meant(stream: &Stream, name: &str) -> bool {
    stream.rest() == name || stream.rest().ends_with(&format!("/{name}"))
}

/// The one of these that a name means, of clusters of which some could not be read.
fn one_of(name: &str, all: &[Stream], unread: &[String]) -> Result<Stream, NotTaken> {
    let meant: Vec<&Stream> = all.iter().filter(|stream| is_meant(stream, name)).collect();
    match (meant.as_slice(), unread) {
        ([one], []) => Ok((*one).clone()),
        ([one], _) => {
            let whole = format!("write `{}` if that is the one", one.rest());
            Err(NotTaken::Refused(format!(
                "another one may have the name `{name}`, for {}; {whole}",
                unread.join("; ")
            )))
        }
        ([], []) => {
            let offered = closest(name, all);
            let there_is = match (offered.is_empty(), all.len()) {
                (false, _) => format!("did you mean {}?", list(offered.iter().map(|stream| stream.rest()))),
                (true, 0) => "the clusters of this server have none at all".to_owned(),
                (true, many) => format!("the dashboard lists the {many} that there are"),
            };
            Err(NotTaken::NoObject(format!("there is no application `{name}`; {there_is}")))
        }
        ([], _) => Err(NotTaken::Refused(format!("no application `{name}` was found, but {}", unread.join("; ")))),
        (several, _) => {
            let several = list(several.iter().map(|stream| stream.rest()));
            Err(NotTaken::Refused(format!("`{name}` may be any of {several}; write one of them whole")))
        }
    }
}

/// Those whose names are most alike, the most alike first; all of them where there are few.
fn closest<'a>(name: &str, all: &'a [Stream]) -> Vec<&'a Stream> {
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let alike = |stream: &Stream| strsim::jaro_winkler(&last(name), &last(stream.rest()));
    let mut ranked: Vec<(f64, &Stream)> = all.iter().map(|stream| (alike(stream), stream)).collect();
    ranked.retain(|(alike, _)| *alike >= ALIKE || all.len() <= OFFERED);
    ranked.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.as_str().cmp(other.as_str())));
    ranked.into_iter().take(OFFERED).map(|(_, stream)| stream).collect()
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps() -> Vec<Stream> {
        let app = |place: &str, name: &str| Stream::app(place, "argocd", name);
        vec![app("seoul", "petclinic"), app("seoul", "shop"), app("tokyo", "shop"), app("tokyo", "billing")]
    }

    #[test]
    fn a_name_is_taken_in_each_form_that_people_see() {
        for name in ["petclinic", "argocd/petclinic", "seoul/argocd/petclinic"] {
            assert_eq!(one_of(name, &apps(), &[]).unwrap().as_str(), "app/seoul/argocd/petclinic", "{name}");
        }
        assert_eq!(one_of("tokyo/argocd/shop", &apps(), &[]).unwrap().as_str(), "app/tokyo/argocd/shop");
    }

    #[test]
    fn what_no_name_or_several_may_mean_is_refused_with_what_there_is() {
        let refused = |name: &str, unread: &[&str]| {
            let unread: Vec<String> = unread.iter().map(|one| (*one).to_owned()).collect();
            one_of(name, &apps(), &unread).unwrap_err()
        };
        for (name, unread, is_missing, says) in [
            ("petclinc", &[][..], true, "there is no application `petclinc`; did you mean `seoul/argocd/petclinic`?"),
            ("clinic", &[], true, "there is no application `clinic`; did you mean `seoul/argocd/petclinic`?"),
            ("xyz", &[], true, "there is no application `xyz`; the dashboard lists the 4 that there are"),
            (
                "shop",
                &[],
                false,
                "`shop` may be any of `seoul/argocd/shop` or `tokyo/argocd/shop`; write one of them whole",
            ),
            (
                "petclinic",
                &["cluster `busan` cannot be read"],
                false,
                "write `seoul/argocd/petclinic` if that is the one",
            ),
            ("clinic", &["cluster `busan` cannot be read"], false, "no application `clinic` was found, but cluster"),
        ] {
            let refused = refused(name, unread);
            assert_eq!(matches!(refused, NotTaken::NoObject(_)), is_missing, "{refused}");
            assert!(refused.to_string().contains(says), "{refused}");
        }
        let none = one_of("shop", &[], &[]).unwrap_err().to_string();
        assert_eq!(none, "there is no application `shop`; the clusters of this server have none at all");
    }
}

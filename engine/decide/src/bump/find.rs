//! Finds the places in Kubernetes manifests that name an image.

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_saphyr::granit_parser::{Event, Parser};

/// Deeper manifests are not Kubernetes', and a sync reads none.
const MOST_DEPTH: usize = 64;

/// A scalar that names an image, or a part of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// Where in its document, as a JSON pointer.
    pub pointer: String,
    /// What the scalar is.
    pub part: PathPart,
    /// The image's name without tag and digest, as the manifest spells it.
    pub name: String,
    /// The scalar as YAML reads it, without quotes.
    pub value: String,
    /// Its first character, counted from 0 in the whole file.
    pub start: usize,
    /// The character after its last.
    pub end: usize,
    /// Its line, from 1.
    pub line: usize,
}

/// What a scalar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathPart {
    /// A whole image: `host/name:tag`.
    Image,
    /// A tag alone, in a kustomization.
    Tag,
}

/// Finds every image of a file. A kustomization is known by its kind or, since
/// the kind may be left out there, by its file's name.
pub(super) fn find(path: &str, text: &str) -> Result<Vec<Spot>, String> {
    check_depth(text)?;
    let documents = MarkedYaml::load_from_str(text).map_err(|error| error.to_string())?;
    let file = path.rsplit('/').next().unwrap_or(path);
    let by_name = matches!(file, "kustomization.yaml" | "kustomization.yml" | "Kustomization");
    let mut found = FoundPlace { spots: Vec::new(), text: text.chars().collect() };
    for document in &documents {
        found.object(document, "", by_name, 0)?;
    }
    Ok(found.spots)
}

/// Refuses what nests deeper than any manifest, before it is read by a parser that takes as much of the stack.
fn check_depth(text: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for event in Parser::new_from_str(text) {
        match event.map_err(|error| error.to_string())?.0 {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MOST_DEPTH {
            return Err("it is nested too deeply".into());
        }
    }
    Ok(())
}

struct FoundPlace {
    spots: Vec<Spot>,
    text: Vec<char>,
}

impl FoundPlace {
    fn object(&mut self, node: &MarkedYaml<'_>, at: &str, kustomization: bool, depth: usize) -> Result<(), String> {
        let kind = text_of(get(node, "kind"));
        if depth > MOST_DEPTH {
            return Err("it is nested too deeply".into());
        }
        match kind.as_deref() {
            Some("Kustomization" | "Component") => return self.kustomization(node, at),
            None if kustomization => return self.kustomization(node, at),
            Some(list) if list.ends_with("List") => {
                for (index, item) in items(get(node, "items")).enumerate() {
                    self.object(item, &format!("{at}/items/{index}"), false, depth + 1)?;
                }
                return Ok(());
            }
            _ => {}
        }
        let path: &[&str] = match kind.as_deref() {
            Some("Pod") => &["spec"],
            Some("CronJob") => &["spec", "jobTemplate", "spec", "template", "spec"],
            Some("PodTemplate") => &["template", "spec"],
            Some(
                "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" | "Rollout",
            ) => &["spec", "template", "spec"],
            _ => return Ok(()),
        };
        let mut spec = Some(node);
        for key in path {
            spec = spec.and_then(|node| get(node, key));
        }
        let Some(spec) = spec else { return Ok(()) };
        let at = format!("{at}/{}", path.join("/"));
        for list in ["initContainers", "containers"] {
            for (index, container) in items(get(spec, list)).enumerate() {
                if let Some(image) = get(container, "image") {
                    self.image(image, format!("{at}/{list}/{index}/image"));
                }
            }
        }
        Ok(())
    }

    fn image(&mut self, node: &MarkedYaml<'_>, pointer: String) {
        let Some(value) = text_of(Some(node)) else { return };
        let name = name_of(&value).to_owned();
        self.push(node, PathPart::Image, name, value, pointer);
    }

    fn kustomization(&mut self, node: &MarkedYaml<'_>, at: &str) -> Result<(), String> {
        for (index, image) in items(get(node, "images")).enumerate() {
            let name = text_of(get(image, "newName")).or_else(|| text_of(get(image, "name")));
            let (Some(name), Some(tag)) = (name, get(image, "newTag")) else { continue };
            if get(image, "digest").is_some() {
                let line = tag.span.start.line();
                return Err(format!(
                    "line {line}: `{name}` has a digest beside `newTag`, and kustomize would ignore the tag"
                ));
            }
            // A tag such as 1.10 is read as a number; its text is what counts.
            let value = match &tag.data {
                YamlData::Value(Scalar::String(text)) => text.to_string(),
                YamlData::Value(_) => self.text[tag.span.start.index()..tag.span.end.index()].iter().collect(),
                _ => {
                    let line = tag.span.start.line();
                    return Err(format!("line {line}: the `newTag` of `{name}` is no text; write the tag there"));
                }
            };
            self.push(tag, PathPart::Tag, name, value, format!("{at}/images/{index}/newTag"));
        }
        Ok(())
    }

    fn push(&mut self, node: &MarkedYaml<'_>, part: PathPart, name: String, value: String, pointer: String) {
        let (start, end, line) = (node.span.start.index(), node.span.end.index(), node.span.start.line());
        self.spots.push(Spot { pointer, part, name, value, start, end, line });
    }
}

fn get<'n, 'i>(node: &'n MarkedYaml<'i>, key: &str) -> Option<&'n MarkedYaml<'i>> {
    match &node.data {
        YamlData::Mapping(mapping) => {
            mapping.iter().find(|(name, _)| text_of(Some(name)).as_deref() == Some(key)).map(|(_, value)| value)
        }
        YamlData::Tagged(_, inner) => get(inner, key),
        _ => None,
    }
}

fn items<'n, 'i>(node: Option<&'n MarkedYaml<'i>>) -> impl Iterator<Item = &'n MarkedYaml<'i>> {
    let items = match node.map(|node| &node.data) {
        Some(YamlData::Sequence(items)) => items.as_slice(),
        _ => &[],
    };
    items.iter()
}

fn text_of(node: Option<&MarkedYaml<'_>>) -> Option<String> {
    match &node?.data {
        YamlData::Value(Scalar::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

/// The part before tag and digest. A colon before the last slash is a port.
pub(crate) fn name_of(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let last = image.rfind('/').map_or(0, |slash| slash + 1);
    image[last..].find(':').map_or(image, |colon| &image[..last + colon])
}

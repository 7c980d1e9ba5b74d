//! Reads an image out of `docker save`'s archive into the layout.

use crate::error::Error;
use crate::layout::{Layout, descriptor};
use decide::request::Key;
use decide::retry::Retry;
use flate2::read::MultiGzDecoder;
use oci_client::manifest::IMAGE_LAYER_GZIP_MEDIA_TYPE;
use pipeline::Digest;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The longest text in an archive, in bytes.
const LONGEST_TEXT: u64 = 4 << 20;

/// An entry of the archive's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

/// Where a file of the archive is: offset and length in bytes.
type Places = BTreeMap<String, (u64, u64)>;

/// The part of the image's configuration that says what its layers are.
#[derive(Deserialize)]
struct Configuration {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

/// Takes the one image of an archive. Blocking.
///
/// # Errors
/// The archive is damaged or holds another number of images, or the disk fails.
pub(crate) fn take(archive: &Path, key: &Key, layout: &Layout) -> Result<Digest, Error> {
    let damaged = |error: &dyn std::fmt::Display| Error::Engine {
        tried: "reading the engine's archive",
        problem: error.to_string(),
        retry: Retry::PASSING,
    };
    let mut file = File::open(archive).map_err(|error| Error::file("opening", archive, error))?;
    let places = places(&file).map_err(|error| damaged(&error))?;
    let manifest = text(&mut file, &places, "manifest.json").map_err(|error| damaged(&error))?;
    let saved: Vec<Saved> = serde_json::from_slice(&manifest).map_err(|error| damaged(&error))?;
    let [saved] = saved.as_slice() else {
        return Err(damaged(&format!("it holds {} images instead of one", saved.len())));
    };
    let config = text(&mut file, &places, &saved.config).map_err(|error| damaged(&error))?;
    let configuration: Configuration = serde_json::from_slice(&config).map_err(|error| damaged(&error))?;
    if configuration.rootfs.diff_ids.len() != saved.layers.len() {
        return Err(damaged(&"its configuration lists another number of layers"));
    }
    let writing = layout.write();
    let mut layers = Vec::new();
    for (name, diff_id) in saved.layers.iter().zip(&configuration.rootfs.diff_ids) {
        let place = *places.get(name).ok_or_else(|| damaged(&format!("{name} is missing")))?;
        let mut layer = writing.layer()?;
        copy_layer(&mut file, place, &mut layer).map_err(|error| damaged(&error))?;
        let layer = writing.keep(layer)?;
        if layer.diff_id != *diff_id {
            return Err(damaged(&format!("{name} is {}, and the configuration says {diff_id}", layer.diff_id)));
        }
        layers.push(descriptor(IMAGE_LAYER_GZIP_MEDIA_TYPE, &layer.blob));
    }
    writing.image(key, writing.bytes(&config)?, layers)
}

/// Engines save layers as plain tars; those that keep them compressed save them so.
fn copy_layer(file: &mut File, (offset, length): (u64, u64), layer: &mut impl Write) -> std::io::Result<u64> {
    let mut magic = [0; 2];
    file.seek(SeekFrom::Start(offset))?;
    let is_gzip = length > 2 && file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.seek(SeekFrom::Start(offset))?;
    let stored = BufReader::new(file.take(length));
    if is_gzip { std::io::copy(&mut MultiGzDecoder::new(stored), layer) } else { std::io::copy(&mut { stored }, layer) }
}

fn places(file: &File) -> std::io::Result<Places> {
    let mut places = Places::new();
    let mut links = Vec::new();
    let mut archive = tar::Archive::new(BufReader::new(file));
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        match entry.link_name()? {
            // A layer that stands in the archive twice is a link the second time.
            Some(target) => links.push((path, target.to_string_lossy().into_owned())),
            None => {
                places.insert(path, (entry.raw_file_position(), entry.size()));
            }
        }
    }
    for (path, target) in links {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let resolved = decide::image::ignore::clean(&format!("{parent}/{target}"));
        let resolved = resolved.trim_start_matches("../").to_owned();
        if let Some(place) = places.get(&target).or_else(|| places.get(&resolved)).copied() {
            places.insert(path, place);
        }
    }
    Ok(places)
}

fn text(file: &mut File, places: &Places, name: &str) -> std::io::Result<Vec<u8>> {
    let missing = || std::io::Error::other(format!("{name} is missing"));
    let (offset, length) = *places.get(name).ok_or_else(missing)?;
    if length > LONGEST_TEXT {
        return Err(std::io::Error::other(format!("{name} has {length} bytes")));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

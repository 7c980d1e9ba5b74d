//! Builds an image in process: one layer from the context, no daemon, no root.
//!
//! The same context and Dockerfile always give the same digest: paths are
//! sorted, times are the epoch, and nothing of the machine enters but its
//! architecture.

use crate::context::{self, Context};
use crate::error::Error;
use crate::layout::{Layout, descriptor};
use crate::tree::{self, Tree};
use decide::image::dockerfile::Recipe;
use decide::request::Key;
use oci_client::manifest::IMAGE_LAYER_GZIP_MEDIA_TYPE;
use pipeline::Digest;

/// Assembles an image into the layout. Blocking.
///
/// # Errors
/// A step of the recipe cannot be done, or the disk fails.
pub(crate) fn assemble(key: &Key, recipe: &Recipe, context: &Context, layout: &Layout) -> Result<Digest, Error> {
    let tree = tree::grow(&recipe.steps, context)?;
    let writing = layout.write();
    let mut layers = Vec::new();
    let mut diff_ids = Vec::new();
    if !tree.is_empty() {
        let mut tar = tar::Builder::new(writing.layer()?);
        write_layer(&mut tar, &tree, context)?;
        let finished = tar.into_inner().map_err(|error| Error::disk("writing a layer", error))?;
        let layer = writing.keep(finished)?;
        layers.push(descriptor(IMAGE_LAYER_GZIP_MEDIA_TYPE, &layer.blob));
        diff_ids.push(layer.diff_id);
    }
    let config = configuration(recipe, &diff_ids)?;
    let config = writing.bytes(&serde_json::to_vec(&config).expect("a configuration is plain data"))?;
    writing.image(key, config, layers)
}

fn write_layer(tar: &mut tar::Builder<impl std::io::Write>, tree: &Tree, context: &Context) -> Result<(), Error> {
    let mut files = context.reader()?;
    for (path, node) in tree {
        context::append(tar, path, &node.found, node.found.mode, node.owner, &mut files)?;
    }
    Ok(())
}

/// The OCI image configuration.
fn configuration(recipe: &Recipe, diff_ids: &[Digest]) -> Result<serde_json::Value, Error> {
    let platform = recipe.platform.clone().unwrap_or_else(|| format!("linux/{}", architecture()));
    let mut parts = platform.split('/');
    let (Some(os), Some(architecture), variant, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Error::Input(format!("`--platform={platform}` is no platform; write it as `linux/arm64`")));
    };
    let mut config = serde_json::json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture,
        "os": os,
        "config": recipe.config,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    if let Some(variant) = variant {
        config["variant"] = variant.into();
    }
    Ok(config)
}

/// This machine's architecture, in the words of the OCI specification.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

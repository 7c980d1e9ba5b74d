//! The folder that is deployed, file by file: what a sync reads of it, and
//! what of that can be edited.

use super::Intent;
use crate::bump::{File, Report, Swap, mentions, names, put_back};

/// The manifests that a sync reads, at a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// Those that can be edited.
    pub files: Vec<File>,
    /// Those that are left to people.
    pub fixed: Vec<Fixed>,
}

/// A manifest that is not edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// JSON, whose formatting an edit would not keep.
    Json(File),
    /// It is no text.
    NotText {
        /// Its path from the repository's root.
        path: String,
        /// The file's bytes, to tell whether they may name an image.
        bytes: Vec<u8>,
    },
}

impl Folder {
    /// Sorts the files below the path, each by its path from the repository's
    /// root; what a sync of the application would not read is left out.
    pub fn new(intent: &Intent, all: impl IntoIterator<Item = (String, Vec<u8>)>) -> Folder {
        let mut folder = Folder::default();
        for (path, bytes) in all {
            let name = path.strip_prefix(&intent.path).unwrap_or(&path).trim_start_matches('/');
            if !intent.depth.reaches(name) {
                continue;
            }
            match String::from_utf8(bytes) {
                Ok(text) if path.ends_with(".json") => folder.fixed.push(Fixed::Json(File { path, text })),
                Ok(text) => folder.files.push(File { path, text }),
                Err(error) => folder.fixed.push(Fixed::NotText { path, bytes: error.into_bytes() }),
            }
        }
        folder
    }

    /// The edits that put the images back; none where nothing names them.
    ///
    /// # Errors
    /// A sentence with the help: a file that names an image, or may name one,
    /// cannot be edited.
    pub(super) fn put_back(&self, images: &[Swap]) -> Result<Report, String> {
        match self.fixed.iter().find_map(|file| file.problem(images)) {
            Some(problem) => Err(format!("{problem}; put the image back there by hand")),
            None => put_back(&self.files, images),
        }
    }
}

impl Fixed {
    fn problem(&self, images: &[Swap]) -> Option<String> {
        match self {
            Fixed::Json(file) => names(file, images).then(|| format!("{}: JSON is not edited", file.path)),
            Fixed::NotText { path, bytes } => {
                // UTF-16 has a zero byte beside each of ASCII's.
                let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
                mentions(&String::from_utf8_lossy(&bytes), images).then(|| format!("{path}: it is not UTF-8"))
            }
        }
    }
}

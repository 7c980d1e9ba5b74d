//! Writers that count and digest what passes through them.

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use pipeline::Digest;
use sha2::Digest as _;
use std::io::{self, BufWriter, Write};

/// Digests and counts the bytes on their way to `inner`.
pub(crate) struct Digesting<W> {
    inner: W,
    hasher: sha2::Sha256,
    size: u64,
}

/// What passed through a [`Digesting`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digested {
    /// The SHA-256 of all bytes.
    pub digest: Digest,
    /// The number of all bytes.
    pub size: u64,
}

impl<W: Write> Digesting<W> {
    pub(crate) fn new(inner: W) -> Digesting<W> {
        Digesting { inner, hasher: sha2::Sha256::new(), size: 0 }
    }

    pub(crate) fn finish(self) -> (W, Digested) {
        let digest = format!("sha256:{}", hex::encode(self.hasher.finalize()));
        let digest = digest.parse().expect("a SHA-256 in hexadecimal is a digest");
        (self.inner, Digested { digest, size: self.size })
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..taken]);
        self.size += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A layer on its way to the disk: its tar is digested, compressed, and digested again.
///
/// Nothing of the moment or the machine enters, so the same tar always gives the same blob.
pub struct LayerWriter<W: Write> {
    tar: Digesting<GzEncoder<Digesting<BufWriter<W>>>>,
}

/// A layer that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The compressed blob, as a registry stores it.
    pub blob: Digested,
    /// The digest of the tar within, as the image's configuration lists it.
    pub diff_id: Digest,
}

impl<W: Write> LayerWriter<W> {
    pub fn new(file: W) -> LayerWriter<W> {
        const UNKNOWN_SYSTEM: u8 = 255;
        let blob = Digesting::new(BufWriter::new(file));
        let gzip = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(blob, Compression::new(6));
        LayerWriter { tar: Digesting::new(gzip) }
    }

    pub fn finish(self) -> io::Result<(W, Layer)> {
        let (gzip, tar) = self.tar.finish();
        let (buffer, blob) = gzip.finish()?.finish();
        let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((file, Layer { blob, diff_id: tar.digest }))
    }
}

impl<W: Write> Write for LayerWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tar.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tar.flush()
    }
}

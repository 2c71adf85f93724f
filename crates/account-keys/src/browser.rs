//! The browser's modules, as `cargo xtask` built them before this crate was compiled: in the binary, or not there.

/// A file for a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the address of all of them; the imports of a module are relative to its own.
    pub path: &'static str,
    /// For `Content-Type`.
    pub media_type: &'static str,
    /// The content.
    pub bytes: &'static [u8],
    /// SHA-256 of the content, as 64 lower-case hexadecimal digits.
    pub sha256: &'static str,
}

/// All of them in the order of their paths; none if they were not built.
pub fn files() -> &'static [File] {
    FILES
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn what_is_embedded_is_what_the_manifest_says() {
        for file in files() {
            let mut hex = String::new();
            for byte in Sha256::digest(file.bytes) {
                let _ = write!(hex, "{byte:02x}");
            }
            assert_eq!(hex, file.sha256, "{}", file.path);
        }
        let paths: Vec<_> = files().iter().map(|file| file.path).collect();
        assert!(paths.is_sorted());
        assert!(paths.is_empty() || paths.contains(&"worker.mjs"), "{paths:?}");
    }
}

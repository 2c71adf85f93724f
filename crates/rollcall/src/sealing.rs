//! The key that identity-service seals with what it has to read again: a file beside the databases, not in them.
//!
//! Not here: what is sealed, and how (identity-service).

use std::sync::Arc;

use anyhow::Context as _;
use identity_service::SealingKeySource;

use crate::{
    key_file::{Kind, Place},
    settings::Settings,
};

const KIND: Kind =
    Kind { what: "the sealing key", option: "--sealing-key-file", prefix: "rc_sealing_", length: 32, several: false };

/// For identity-service, which asks when it needs the key. In the data directory it is made then; a file that was named on the
/// command line must exist, because replicas with a key each could not read what the others sealed.
pub(crate) fn source(settings: &Settings) -> SealingKeySource {
    let (path, named) = (settings.sealing_key_path(), settings.sealing_key_file.is_some());
    Arc::new(move || load_or_create(Place { path: &path, named }).map_err(|error| format!("{error:#}")))
}

/// Whether a file that was named is usable.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    match &settings.sealing_key_file {
        Some(path) => KIND.load(Place { path, named: true }).map(drop),
        None => Ok(()),
    }
}

fn load_or_create(place: Place<'_>) -> anyhow::Result<[u8; 32]> {
    let keys = KIND.load_or_create(place, || {
        let mut random = vec![0; 32];
        getrandom::fill(&mut random)?;
        Ok(random)
    });
    let key = keys?.into_iter().next().and_then(|key| key.try_into().ok());
    key.context("the sealing key is not usable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("sealing.key");
        let place = Place { path: &path, named: false };
        let key = load_or_create(place).expect("made");
        assert_eq!(load_or_create(place).expect("read"), key);
        assert!(std::fs::read_to_string(&path).expect("text").starts_with("rc_sealing_"));
    }
}

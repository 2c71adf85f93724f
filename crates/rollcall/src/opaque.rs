//! What passwords of members are checked with: a file beside the databases, not in them. Whoever has the databases alone
//! cannot guess at a password.
//!
//! Not here: what it is (identity-service). A line that is added is for what is registered from then on; those before it stay
//! for as long as a password was registered with them.

use std::{path::PathBuf, sync::Arc};

use anyhow::ensure;
use identity_service::{OpaqueSetUpSource, Random, is_opaque_set_up, new_opaque_set_up};

use crate::{
    key_file::{Kind, Place},
    settings::Settings,
};

const KIND: Kind =
    Kind { what: "the OPAQUE key", option: "--opaque-key-file", prefix: "rc_opaque_", length: 128, several: true };

/// For identity-service, which asks when it needs it. In the data directory it is made then; a file that was named on the
/// command line must exist, because no replica could check what was registered at another one.
pub(crate) fn source(settings: &Settings) -> OpaqueSetUpSource {
    let (path, named) = (settings.opaque_key_path(), settings.opaque_key_file.is_some());
    Arc::new(move || {
        let place = Place { path: &path, named };
        let keys = KIND.load_or_create(place, || Ok(new_opaque_set_up(&Random::system())));
        keys.and_then(|keys| usable(place, keys)).map_err(|error| format!("{error:#}"))
    })
}

/// One more, for what is registered from now on. Where the file is, and how many there are then.
pub(crate) fn add(settings: &Settings) -> anyhow::Result<(PathBuf, usize)> {
    let (path, named) = (settings.opaque_key_path(), settings.opaque_key_file.is_some());
    let place = Place { path: &path, named };
    usable(place, KIND.load(place)?)?;
    let keys = KIND.add(place, &new_opaque_set_up(&Random::system()))?;
    Ok((path, keys))
}

/// Whether a file that was named is usable.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    match &settings.opaque_key_file {
        Some(path) => {
            let place = Place { path, named: true };
            usable(place, KIND.load(place)?).map(drop)
        }
        None => Ok(()),
    }
}

fn usable(place: Place<'_>, keys: Vec<Vec<u8>>) -> anyhow::Result<Vec<Vec<u8>>> {
    ensure!(
        keys.iter().all(|key| is_opaque_set_up(key)),
        "the OPAQUE key {} is not usable: it was changed; restore it from where you keep it",
        place.path.display()
    );
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_of_opaque_and_made_once() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("opaque.key");
        let place = Place { path: &path, named: false };
        let make = || KIND.load_or_create(place, || Ok(new_opaque_set_up(&Random::system())));
        let made = make().and_then(|keys| usable(place, keys)).expect("made");
        assert_eq!((made.len(), &made), (1, &make().expect("read")));
        assert!(usable(place, vec![vec![0xff; 128]]).is_err());
        let both =
            KIND.add(place, &new_opaque_set_up(&Random::system())).and_then(|_| KIND.load(place)).expect("added");
        assert_eq!((both.len(), &both[0]), (2, &made[0]), "the newest last");
        assert_eq!(std::fs::read_dir(directory.path()).expect("entries").count(), 1);
    }
}

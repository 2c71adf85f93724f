//! How much one session, and one organization, may have at once: pages that are made, pages that watch, exports. One administrator
//! with many of them would be felt by all organizations, which share processors and database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::StatusCode;

use crate::{
    problem::{Problem, Result},
    session::SignedIn,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Until its answer begins.
    Page,
    Watching,
    Exporting,
}

impl Kind {
    /// Of one session, and of one organization.
    fn most(self) -> (usize, usize) {
        match self {
            Self::Page => (12, 36),
            Self::Watching => (4, 12),
            Self::Exporting => (2, 3),
        }
    }

    /// What they are, and what to do about it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Page => ("pages loading", "Wait a moment"),
            Self::Watching => ("pages open that watch requests", "Close one of them"),
            Self::Exporting => ("exports of the log under way", "Wait for one of them"),
        }
    }
}

type Key = (Kind, String);

/// What is going on. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Busy(Arc<Mutex<HashMap<Key, usize>>>);

/// Of one that goes on. It is given back when this is dropped.
pub(crate) struct Place {
    busy: Busy,
    keys: [Key; 2],
}

impl Busy {
    /// # Errors
    /// As many go on as may: 429.
    pub(crate) fn begin(&self, kind: Kind, signed_in: &SignedIn) -> Result<Place> {
        self.take(kind, &signed_in.session.id, &signed_in.organization.id)
    }

    fn take(&self, kind: Kind, session: &str, organization: &str) -> Result<Place> {
        let keys = [(kind, format!("session {session}")), (kind, format!("organization {organization}"))];
        let (of_session, of_organization) = kind.most();
        let mut going = self.going();
        for (key, most, whose) in
            [(&keys[0], of_session, "You have"), (&keys[1], of_organization, "Your organization has")]
        {
            if going.get(key).is_some_and(|n| *n >= most) {
                let (what, hint) = kind.words();
                let text = format!(
                    "{whose} {most} {what}, which is as many as there may be at once. {hint}, then load this anew."
                );
                return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many at once", text));
            }
        }
        for key in &keys {
            *going.entry(key.clone()).or_default() += 1;
        }
        drop(going);
        Ok(Place { busy: self.clone(), keys })
    }

    fn going(&self) -> MutexGuard<'_, HashMap<Key, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut going = self.busy.going();
        for key in &self.keys {
            if let Some(n) = going.get_mut(key) {
                *n -= 1;
                if *n == 0 {
                    going.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_and_an_organization_have_so_many_and_a_place_is_given_back() {
        let busy = Busy::default();
        let take = |session: &str, organization: &str| busy.take(Kind::Exporting, session, organization);
        let mut places = vec![take("a", "o").expect("one"), take("a", "o").expect("two")];
        let refused = take("a", "o").err().expect("refused");
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.text.starts_with("You have 2 exports"), "{}", refused.text);
        places.push(take("b", "o").expect("three"));
        assert!(take("c", "o").err().expect("refused").text.starts_with("Your organization has 3"));
        assert!(take("c", "p").is_ok() && busy.take(Kind::Watching, "a", "o").is_ok());
        places.pop();
        assert!(take("c", "o").is_ok());
        places.clear();
        assert!(busy.going().is_empty());
    }
}

//! Where walks by `startIndex` stand. A page that continues one that was sent starts after the last resource of that page,
//! not at a rank: ranks move when somebody before them is deleted, and the walk would miss those who moved back.
//!
//! Kept in this process only: elsewhere, and after a while, a rank is a rank.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest as _, Sha256};
use store::Instant;

use crate::domain::{
    actor::{Actor, ActorKind},
    list::{ListDigest, Position},
};

/// How long a page may be continued.
const MEMORY_MICROS: i64 = 600 * 1_000_000;
/// Positions kept; the oldest are dropped.
const MOST: usize = 32_768;
/// A longer sort value is not kept, bytes.
const LONGEST_SORT_KEY: usize = 256;

/// The remembered positions. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Walks(Arc<Mutex<State>>);

/// Who continues which list from which index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place([u8; 32]);

#[derive(Default)]
struct State {
    positions: HashMap<Place, Remembered>,
    /// By age; what was remembered anew stands here twice, and only the later counts.
    order: VecDeque<(u64, Place)>,
    next: u64,
}

struct Remembered {
    number: u64,
    at: Instant,
    position: Position,
}

impl Place {
    /// `offset`: the resources before the page.
    pub(crate) fn new(list: &ListDigest, actor: &Actor, offset: i64) -> Self {
        let (kind, name) = match &actor.kind {
            ActorKind::ScimClient { token_id, .. } => (b"c", token_id),
            ActorKind::Administrator { name } => (b"a", name),
            ActorKind::InternalService { name } => (b"s", name),
            ActorKind::Member { user } => (b"m", user),
            ActorKind::Agent { id, .. } => (b"g", id),
        };
        let mut hash = Sha256::new();
        hash.update(list.0);
        hash.update(offset.to_be_bytes());
        hash.update(kind);
        hash.update(name);
        Self(hash.finalize().into())
    }
}

impl Walks {
    /// The last resource before the place.
    pub(crate) fn recall(&self, place: &Place, now: Instant) -> Option<Position> {
        let state = self.state();
        let found = state.positions.get(place).filter(|found| !expired(found.at, now))?;
        Some(found.position.clone())
    }

    /// A later walk of the same caller over the same list takes the place of an earlier one.
    pub(crate) fn remember(&self, place: Place, position: Position, now: Instant) {
        if position.sort_key.as_ref().is_some_and(|text| text.len() > LONGEST_SORT_KEY) {
            self.state().positions.remove(&place);
            return;
        }
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.positions.insert(place, Remembered { number, at: now, position });
        state.order.push_back((number, place));
        state.forget(now);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        while let Some((number, place)) = self.order.front().copied() {
            let current = self.positions.get(&place).filter(|found| found.number == number);
            let keep = current.is_some_and(|found| !expired(found.at, now)) && self.order.len() <= MOST;
            if keep {
                return;
            }
            if current.is_some() {
                self.positions.remove(&place);
            }
            self.order.pop_front();
        }
    }
}

fn expired(at: Instant, now: Instant) -> bool {
    now.as_micros().saturating_sub(at.as_micros()) > MEMORY_MICROS
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::list::Target;

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros)
    }

    fn position(n: u128) -> Position {
        Position { target: Target::User, sort_key: None, id: Uuid::from_u128(n) }
    }

    fn place(list: u8, token: &str, offset: i64) -> Place {
        let actor = Actor {
            kind: ActorKind::ScimClient { token_id: token.to_owned(), entry_id: String::new() },
            request_id: String::new(),
        };
        Place::new(&ListDigest([list; 32]), &actor, offset)
    }

    fn sizes(walks: &Walks) -> (usize, usize) {
        let state = walks.state();
        (state.positions.len(), state.order.len())
    }

    #[test]
    fn a_place_is_of_one_list_one_caller_and_one_index() {
        let walks = Walks::default();
        walks.remember(place(1, "a", 100), position(7), at(0));
        assert_eq!(walks.recall(&place(1, "a", 100), at(0)), Some(position(7)));
        for other in [place(2, "a", 100), place(1, "b", 100), place(1, "a", 101)] {
            assert_eq!(walks.recall(&other, at(0)), None);
        }
        walks.remember(place(1, "a", 100), position(8), at(1));
        assert_eq!(walks.recall(&place(1, "a", 100), at(1)), Some(position(8)), "the later walk");
        walks.remember(place(1, "a", 100), Position { sort_key: Some("x".repeat(300)), ..position(9) }, at(2));
        assert_eq!(walks.recall(&place(1, "a", 100), at(2)), None);
    }

    #[test]
    fn it_is_forgotten_after_ten_minutes() {
        let walks = Walks::default();
        walks.remember(place(1, "a", 100), position(7), at(0));
        assert_eq!(walks.recall(&place(1, "a", 100), at(MEMORY_MICROS)), Some(position(7)));
        assert_eq!(walks.recall(&place(1, "a", 100), at(MEMORY_MICROS + 1)), None);
        walks.remember(place(1, "a", 200), position(8), at(MEMORY_MICROS + 1));
        assert_eq!(sizes(&walks), (1, 1));
    }

    #[test]
    fn memory_is_bounded() {
        let walks = Walks::default();
        for n in 0..MOST + 10 {
            walks.remember(place(1, "a", i64::try_from(n).expect("small")), position(1), at(0));
        }
        assert_eq!(sizes(&walks), (MOST, MOST));
        for _ in 0..MOST * 2 {
            walks.remember(place(2, "a", 0), position(2), at(0));
        }
        assert!(sizes(&walks).1 <= MOST);
        assert_eq!(walks.recall(&place(2, "a", 0), at(0)), Some(position(2)));
    }
}

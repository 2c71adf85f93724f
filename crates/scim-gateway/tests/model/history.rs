//! Whether some order of the calls on one object, true to the time at which each was under way, explains all of their
//! answers: the search of Wing and Gong, with a memory of where it has been.

use std::{
    collections::HashSet,
    fmt::{self, Debug, Display},
    hash::Hash,
};

/// Something with a state, and what can be seen of it.
pub(crate) trait Object {
    type State: Clone + Eq + Hash + Debug;
    type Event: Clone + Display;

    /// The state after the event, unless the event cannot have been seen in this state.
    fn step(&self, state: &Self::State, event: &Self::Event) -> Option<Self::State>;

    /// The event changes no state, whatever the state is.
    fn only_looks(&self, event: &Self::Event) -> bool;
}

/// Something that happened at one instant between these two of the common clock.
#[derive(Clone, Debug)]
pub(crate) struct Timed<E> {
    pub(crate) client: usize,
    pub(crate) invoked: u64,
    pub(crate) returned: u64,
    pub(crate) event: E,
}

/// A history that no order explains, made as short as it can be.
pub(crate) struct Unexplained<O: Object> {
    /// The states in which the object can have been before.
    before: HashSet<O::State>,
    pub(crate) events: Vec<Timed<O::Event>>,
}

impl<O: Object> Debug for Unexplained<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl<O: Object> Display for Unexplained<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for state in &self.before {
            writeln!(f, "  before: {state:?}")?;
        }
        for Timed { client, invoked, returned, event } in &self.events {
            writeln!(f, "  {invoked:>6} to {returned:>6}, client {client}: {event}")?;
        }
        Ok(())
    }
}

/// Says which part of a history no order explains, if there is one.
pub(crate) fn check<O: Object>(
    object: &O,
    start: O::State,
    mut events: Vec<Timed<O::Event>>,
) -> Result<(), Unexplained<O>> {
    events.sort_by_key(|event| event.invoked);
    let mut states = HashSet::from([start]);
    for part in parts(&events) {
        let after = outcomes(object, &states, part, u64::MAX);
        if after.is_empty() {
            let events = shortest(object, &states, part);
            return Err(Unexplained { before: states, events });
        }
        states = after;
    }
    Ok(())
}

/// The history cut where nothing was under way: what is in one part comes before all of the next.
fn parts<E>(events: &[Timed<E>]) -> Vec<&[Timed<E>]> {
    let mut latest = 0;
    let mut cuts = Vec::new();
    for (at, event) in events.iter().enumerate() {
        if at > 0 && event.invoked > latest {
            cuts.push(at);
        }
        latest = latest.max(event.returned);
    }
    let begins = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([events.len()]);
    begins.zip(ends).map(|(begin, end)| &events[begin..end]).collect()
}

/// The states in which some order of the events can leave the object. What had not returned at `until` may have happened
/// by then or not.
fn outcomes<O: Object>(
    object: &O,
    before: &HashSet<O::State>,
    events: &[Timed<O::Event>],
    until: u64,
) -> HashSet<O::State> {
    let events: Vec<&Timed<O::Event>> = events.iter().filter(|event| event.invoked < until).collect();
    let returned = |event: &Timed<O::Event>| if event.returned <= until { event.returned } else { u64::MAX };
    let mut outcomes = HashSet::new();
    let mut next: Vec<(Happened, O::State)> =
        before.iter().map(|state| (Happened::none(events.len()), state.clone())).collect();
    let mut seen: HashSet<(Happened, O::State)> = next.iter().cloned().collect();
    while let Some((happened, state)) = next.pop() {
        let open = || (0..events.len()).filter(|&at| !happened.has(at));
        // Whatever returned before something else was invoked happened before it.
        let first_return = open().map(|at| returned(events[at])).min().unwrap_or(u64::MAX);
        if first_return == u64::MAX {
            outcomes.insert(state.clone());
        }
        let mut steps = Vec::new();
        for at in open().take_while(|&at| events[at].invoked < first_return) {
            let Some(after) = object.step(&state, &events[at].event) else { continue };
            let step = (happened.and(at), after);
            // A look that fits may as well be now: it stands in the way of nothing.
            if object.only_looks(&events[at].event) {
                steps = vec![step];
                break;
            }
            steps.push(step);
        }
        next.extend(steps.into_iter().filter(|step| seen.insert(step.clone())));
    }
    outcomes
}

/// The events that have taken effect, by place.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Happened(Box<[u64]>);

impl Happened {
    fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into())
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    fn and(&self, at: usize) -> Self {
        let mut more = self.clone();
        more.0[at / 64] |= 1 << (at % 64);
        more
    }
}

/// The least that shows it: up to the first answer that cannot be, less what was only looked at and does not matter.
fn shortest<O: Object>(object: &O, before: &HashSet<O::State>, events: &[Timed<O::Event>]) -> Vec<Timed<O::Event>> {
    let mut ends: Vec<u64> = events.iter().map(|event| event.returned).collect();
    ends.sort_unstable();
    let first = ends.partition_point(|&until| !outcomes(object, before, events, until).is_empty());
    let until = ends.get(first).copied().unwrap_or(u64::MAX);
    let mut kept: Vec<_> = events.iter().filter(|event| event.invoked < until).cloned().collect();
    let mut at = 0;
    while at < kept.len() {
        let without: Vec<_> =
            kept.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, event)| event.clone()).collect();
        if object.only_looks(&kept[at].event) && outcomes(object, before, &without, until).is_empty() {
            kept = without;
        } else {
            at += 1;
        }
    }
    kept
}

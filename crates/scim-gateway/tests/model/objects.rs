//! The objects that a log of calls is about: each user, each group, and each name that only one of them can have.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display},
    marker::PhantomData,
};

use crate::{
    calls::{Answer, Ask, Call, Expected, Life, Request, Shown, Verb, obey, renames},
    history::{Object, Timed, check},
    kinds::{Gone, Group, Kind, TAKEN, User, folded},
};

/// Too many at once: nothing was done.
pub(crate) const TRY_AGAIN: u16 = 429;

/// A user or a group.
pub(crate) struct Resource<K> {
    pub(crate) id: String,
    /// Every group there ever was, to tell members apart.
    pub(crate) groups: BTreeSet<String>,
    pub(crate) kind: PhantomData<K>,
}

#[derive(Clone, Debug)]
pub(crate) enum Seen<K: Kind> {
    Asked(Ask<K>, Answer),
    Listed(Shown),
    /// A user or group that may be a member was deleted.
    MemberGone(String),
}

impl<K: Kind> Display for Seen<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(ask, answer) => write!(f, "{ask} -> {answer}"),
            Self::Listed(shown) => write!(f, "listed with version {:?} as {}", shown.version, shown.body),
            Self::MemberGone(id) => write!(f, "DELETE of {id} -> 204"),
        }
    }
}

impl<K: Kind> Resource<K> {
    fn shows(&self, answer: &Answer, status: u16, version: Option<u64>, value: Option<&K>) -> bool {
        let shown: Vec<Shown> =
            value.iter().map(|value| Shown::of(&self.id, version.unwrap_or_default(), *value, &self.groups)).collect();
        answer.status == status && crate::calls::version(&answer.etag) == version && answer.shown() == shown
    }
}

impl<K: Kind> Object for Resource<K> {
    type State = (Life<K>, Gone);
    type Event = Seen<K>;

    fn step(&self, (life, gone): &Self::State, event: &Seen<K>) -> Option<Self::State> {
        let then = |life: Life<K>| Some((life, gone.clone()));
        match event {
            Seen::MemberGone(id) => {
                let mut gone = gone.clone();
                gone.insert(id.clone());
                let life = match life.clone() {
                    Life::Alive { version, mut value } => {
                        let before = value.clone();
                        value.forget(id);
                        Life::Alive { version: version + u64::from(value != before), value }
                    }
                    other => other,
                };
                Some((life, gone))
            }
            Seen::Listed(shown) => match life {
                Life::Alive { version, value } => {
                    (*shown == Shown::of(&self.id, *version, value, &self.groups)).then(|| (life.clone(), gone.clone()))
                }
                _ => None,
            },
            Seen::Asked(_, answer) if answer.status == TRY_AGAIN => then(life.clone()),
            Seen::Asked(Ask::Create(body), answer) => match (life, K::created(body, gone)) {
                (Life::Unborn, Ok(value)) if self.shows(answer, 201, Some(1), Some(&value)) => {
                    then(Life::Alive { version: 1, value })
                }
                (Life::Unborn, Err(refused)) if answer.refusal() == refused => then(Life::Unborn),
                _ => None,
            },
            Seen::Asked(Ask::Find(_), _) => None,
            Seen::Asked(Ask::To { id, if_match, verb }, answer) => {
                let (expected, after) = obey(life, gone, id, *if_match, verb);
                match expected {
                    Expected::Done(..) if renames(life, &after) && answer.refusal() == TAKEN => then(life.clone()),
                    Expected::Done(status, version, value) => {
                        self.shows(answer, status, version, value.as_ref()).then(|| (after, gone.clone()))
                    }
                    Expected::Refused(refused) => (answer.refusal() == refused).then(|| (after, gone.clone())),
                }
            }
        }
    }

    fn only_looks(&self, event: &Seen<K>) -> bool {
        match event {
            Seen::Listed(_) => true,
            Seen::MemberGone(_) => false,
            Seen::Asked(Ask::To { verb: Verb::Get | Verb::GetUnless(_), .. }, _) => true,
            Seen::Asked(_, answer) => answer.status >= 400,
        }
    }
}

/// A userName or displayName; the state is who has it.
pub(crate) struct Name;

#[derive(Clone, Debug)]
pub(crate) enum NameSeen {
    /// By one that is new.
    Created(String),
    /// By one that is there and may have it already.
    Claimed(String),
    /// Deleted, or has another name from here on.
    Left(String),
    /// Refused, since somebody else has it.
    Taken(Option<String>),
    /// By a filter.
    Found(Vec<String>),
    /// Shown with this name, or with another.
    Has(String),
    HasNot(String),
}

impl Display for NameSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Object for Name {
    type State = Option<String>;
    type Event = NameSeen;

    fn step(&self, owner: &Option<String>, event: &NameSeen) -> Option<Option<String>> {
        let has = |id: &String| owner.as_ref() == Some(id);
        match event {
            NameSeen::Created(id) => owner.is_none().then(|| Some(id.clone())),
            NameSeen::Claimed(id) => (owner.is_none() || has(id)).then(|| Some(id.clone())),
            NameSeen::Left(id) => Some(if has(id) { None } else { owner.clone() }),
            NameSeen::Taken(by) => (owner.is_some() && owner != by).then(|| owner.clone()),
            NameSeen::Found(found) => found.iter().eq(owner.iter()).then(|| owner.clone()),
            NameSeen::Has(id) => has(id).then(|| owner.clone()),
            NameSeen::HasNot(id) => (!has(id)).then(|| owner.clone()),
        }
    }

    fn only_looks(&self, event: &NameSeen) -> bool {
        !matches!(event, NameSeen::Created(_) | NameSeen::Claimed(_) | NameSeen::Left(_))
    }
}

/// A type of resource as it stands in the log.
pub(crate) trait InLog: Kind {
    fn asked(request: &Request) -> Option<&Ask<Self>>;
}

impl InLog for User {
    fn asked(request: &Request) -> Option<&Ask<Self>> {
        match request {
            Request::User(ask) => Some(ask),
            Request::Group(_) => None,
        }
    }
}

impl InLog for Group {
    fn asked(request: &Request) -> Option<&Ask<Self>> {
        match request {
            Request::Group(ask) => Some(ask),
            Request::User(_) => None,
        }
    }
}

fn at<E>(call: &Call, event: E) -> Timed<E> {
    Timed { client: call.client, invoked: call.invoked, returned: call.returned, event }
}

/// The history of each resource of a type, by id; creations that were refused for what they held are one each.
fn resources<K: InLog>(log: &[Call]) -> BTreeMap<String, Vec<Timed<Seen<K>>>> {
    let mut histories: BTreeMap<String, Vec<Timed<Seen<K>>>> = BTreeMap::new();
    for (n, call) in log.iter().enumerate() {
        let Some(ask) = K::asked(&call.request) else { continue };
        let id = match ask {
            Ask::Create(_) if call.answer.status == 201 => call.answer.shown()[0].id.clone(),
            Ask::Create(_) if call.answer.refusal() == TAKEN || call.answer.status == TRY_AGAIN => continue,
            Ask::Create(_) => format!("refused creation {n}"),
            Ask::Find(_) => {
                for shown in call.answer.shown() {
                    histories.entry(shown.id.clone()).or_default().push(at(call, Seen::Listed(shown)));
                }
                continue;
            }
            Ask::To { id, .. } => id.clone(),
        };
        histories.entry(id).or_default().push(at(call, Seen::Asked(ask.clone(), call.answer.clone())));
    }
    histories
}

/// The history of each name.
fn names<K: InLog>(log: &[Call], all: &[&str]) -> BTreeMap<String, Vec<Timed<NameSeen>>> {
    let mut histories: BTreeMap<String, Vec<Timed<NameSeen>>> =
        all.iter().map(|name| (folded(name), Vec::new())).collect();
    for call in log {
        let Some(ask) = K::asked(&call.request) else { continue };
        let done = (200..300).contains(&call.answer.status);
        let taken = call.answer.refusal() == TAKEN;
        // This name so, the others otherwise.
        let mut note = |name: &str, this: NameSeen, others: Option<NameSeen>| {
            let name = folded(name);
            for (other, history) in &mut histories {
                let event = if *other == name { Some(this.clone()) } else { others.clone() };
                history.extend(event.map(|event| at(call, event)));
            }
        };
        match ask {
            Ask::Create(body) if taken => note(K::name_of(body), NameSeen::Taken(None), None),
            Ask::Create(body) if done => {
                note(K::name_of(body), NameSeen::Created(call.answer.shown()[0].id.clone()), None);
            }
            Ask::Create(_) => {}
            Ask::Find(name) if done => {
                let found = call.answer.shown().into_iter().map(|shown| shown.id).collect();
                note(name, NameSeen::Found(found), None);
            }
            Ask::Find(_) => {}
            Ask::To { id, verb, .. } => {
                let asked = match verb {
                    Verb::Put(body) => Some(K::name_of(body)),
                    Verb::Patch(changes, _) => changes.iter().rev().find_map(K::renamed),
                    Verb::Get | Verb::GetUnless(_) | Verb::Delete => None,
                };
                match (asked, call.answer.shown().first()) {
                    (Some(name), _) if taken => note(name, NameSeen::Taken(Some(id.clone())), None),
                    (Some(name), _) if done => {
                        note(name, NameSeen::Claimed(id.clone()), Some(NameSeen::Left(id.clone())));
                    }
                    (None, Some(shown)) if done => {
                        let name = shown.body[K::NAME].as_str().unwrap_or_default();
                        note(name, NameSeen::Has(id.clone()), Some(NameSeen::HasNot(id.clone())));
                    }
                    (None, None) if done && matches!(verb, Verb::Delete) => {
                        note("", NameSeen::Left(id.clone()), Some(NameSeen::Left(id.clone())));
                    }
                    _ => {}
                }
            }
        }
    }
    histories
}

/// Every resource and every name that no order explains, told in full; the shortest first.
pub(crate) fn unexplained(log: &[Call], user_names: &[&str], display_names: &[&str]) -> Vec<String> {
    let mut wrong: Vec<(usize, String)> = Vec::new();
    let groups: BTreeSet<String> = resources::<Group>(log).into_keys().collect();
    let mut gone: Vec<Timed<Seen<Group>>> = Vec::new();
    for call in log.iter().filter(|call| call.answer.status == 204) {
        if let Request::User(Ask::To { id, verb: Verb::Delete, .. })
        | Request::Group(Ask::To { id, verb: Verb::Delete, .. }) = &call.request
        {
            gone.push(at(call, Seen::MemberGone(id.clone())));
        }
    }
    for (id, history) in resources::<User>(log) {
        let user = Resource::<User> { id: id.clone(), groups: groups.clone(), kind: PhantomData };
        if let Err(found) = check(&user, (Life::Unborn, Gone::new()), history) {
            wrong.push((found.events.len(), format!("user {id}:\n{found}")));
        }
    }
    for (id, mut history) in resources::<Group>(log) {
        // Its own end is in its history already.
        let others = gone.iter().filter(|gone| !matches!(&gone.event, Seen::MemberGone(other) if *other == id));
        history.extend(others.cloned());
        let group = Resource::<Group> { id: id.clone(), groups: groups.clone(), kind: PhantomData };
        if let Err(found) = check(&group, (Life::Unborn, Gone::new()), history) {
            wrong.push((found.events.len(), format!("group {id}:\n{found}")));
        }
    }
    for (kind, histories) in
        [(User::NAME, names::<User>(log, user_names)), (Group::NAME, names::<Group>(log, display_names))]
    {
        for (name, history) in histories {
            if let Err(found) = check(&Name, None, history) {
                wrong.push((found.events.len(), format!("{kind} {name}:\n{found}")));
            }
        }
    }
    wrong.sort();
    wrong.into_iter().map(|(_, told)| told).collect()
}

//! Clients that do at random what identity providers do, on few resources, so that they meet.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    calls::{Ask, Call, IfMatch, Request, Verb},
    harness::Server,
    kinds::{Email, Group, GroupBody, GroupChange, User, UserChange},
};

pub(crate) const USER_NAMES: [&str; 5] =
    ["kit@example.com", "moor@example.com", "ada@example.com", "bob@example.com", "eve@example.com"];
pub(crate) const DISPLAY_NAMES: [&str; 4] = ["Ops", "Pier", "Tour Guides", "Keepers"];
/// How many of the newest users or groups are worked on.
const NEWEST: usize = 5;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(count).expect("small")).expect("small")
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// What all clients share: a clock that orders what they do, and the ids they came to know.
#[derive(Default)]
pub(crate) struct Shared {
    clock: AtomicU64,
    users: Mutex<Vec<String>>,
    groups: Mutex<Vec<String>>,
}

pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) random: Random,
    pub(crate) server: Arc<Server>,
    pub(crate) shared: Arc<Shared>,
    /// The version that it last saw of a resource.
    versions: HashMap<String, u64>,
}

fn learn(known: &Mutex<Vec<String>>, id: &str) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if !known.iter().any(|other| other == id) {
        known.push(id.to_owned());
    }
}

fn newest(known: &Mutex<Vec<String>>) -> Vec<String> {
    known.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().take(NEWEST).cloned().collect()
}

impl Client {
    pub(crate) fn new(number: usize, seed: u64, server: Arc<Server>, shared: Arc<Shared>) -> Self {
        let mut random = Random(seed);
        random.0 ^= Random(u64::try_from(number).expect("small")).next();
        Self { number, random, server, shared, versions: HashMap::new() }
    }

    /// One request, chosen, sent and answered.
    pub(crate) async fn call(&mut self) -> Call {
        let request = self.request();
        let invoked = self.shared.clock.fetch_add(1, Ordering::SeqCst);
        let answer = request.send(&self.server).await;
        let returned = self.shared.clock.fetch_add(1, Ordering::SeqCst);
        let known = match &request {
            Request::User(_) => &self.shared.users,
            Request::Group(_) => &self.shared.groups,
        };
        for shown in answer.shown() {
            learn(known, &shown.id);
            self.versions.extend(shown.version.map(|version| (shown.id.clone(), version)));
        }
        Call { client: self.number, invoked, returned, request, answer }
    }

    fn request(&mut self) -> Request {
        let users = newest(&self.shared.users);
        let groups = newest(&self.shared.groups);
        if self.random.percent(55) {
            Request::User(self.user_request(&users))
        } else {
            Request::Group(self.group_request(&groups, &users))
        }
    }

    fn user_request(&mut self, users: &[String]) -> Ask<User> {
        match self.random.below(100) {
            chance if chance < 12 || users.is_empty() => Ask::Create(self.user()),
            chance if chance < 24 => Ask::Find(self.user_name()),
            chance => {
                let id = self.random.of(users);
                let verb = match chance {
                    24..40 => Verb::Get,
                    40..55 => Verb::Put(self.user()),
                    55..92 => {
                        let count = 1 + self.random.below(2);
                        Verb::Patch((0..count).map(|_| self.user_change()).collect(), false)
                    }
                    _ => Verb::Delete,
                };
                let if_match = self.if_match(&id, &verb);
                Ask::To { id, if_match, verb }
            }
        }
    }

    fn group_request(&mut self, groups: &[String], users: &[String]) -> Ask<Group> {
        let possible: Vec<String> = users.iter().chain(groups).cloned().collect();
        match self.random.below(100) {
            chance if chance < 10 || groups.is_empty() => {
                let members = self.random.percent(60).then(|| self.members(&possible));
                Ask::Create(GroupBody { display_name: self.display_name(), members })
            }
            chance if chance < 18 => Ask::Find(self.display_name()),
            chance => {
                let id = self.random.of(groups);
                let verb = match chance {
                    18..29 => Verb::Get,
                    29..37 => match self.versions.get(&id) {
                        Some(version) => Verb::GetUnless(*version),
                        None => Verb::Get,
                    },
                    37..50 => {
                        let members = self.random.percent(70).then(|| self.members(&possible));
                        Verb::Put(GroupBody { display_name: self.display_name(), members })
                    }
                    50..94 => {
                        let count = 1 + self.random.below(3);
                        let changes = (0..count).map(|_| self.group_change(&possible)).collect();
                        Verb::Patch(changes, self.random.percent(40))
                    }
                    _ => Verb::Delete,
                };
                let if_match = self.if_match(&id, &verb);
                Ask::To { id, if_match, verb }
            }
        }
    }

    fn if_match<K: crate::kinds::Kind>(&mut self, id: &str, verb: &Verb<K>) -> Option<IfMatch> {
        match (verb, self.random.below(100)) {
            (Verb::Get | Verb::GetUnless(_), _) => None,
            (_, 0..35) => self.versions.get(id).copied().map(IfMatch::Version),
            (_, 35..40) => Some(IfMatch::Any),
            (_, 40..43) => Some(IfMatch::Version(999_999)),
            _ => None,
        }
    }

    /// A name, at times in capitals.
    fn user_name(&mut self) -> String {
        let name = self.random.of(&USER_NAMES).to_owned();
        if self.random.percent(20) { name.to_uppercase() } else { name }
    }

    fn display_name(&mut self) -> String {
        let name = self.random.of(&DISPLAY_NAMES).to_owned();
        if self.random.percent(20) { name.to_uppercase() } else { name }
    }

    fn user(&mut self) -> User {
        User {
            user_name: self.user_name(),
            title: self.random.percent(50).then(|| self.word()),
            nick_name: self.random.percent(30).then(|| self.word()),
            family_name: self.random.percent(30).then(|| self.word()),
            active: self.random.percent(50).then(|| self.random.percent(50)),
            emails: self.emails(),
        }
    }

    fn user_change(&mut self) -> UserChange {
        match self.random.below(20) {
            0 | 1 => UserChange::UserName(self.user_name()),
            2 => UserChange::AddTitle(self.word()),
            3 => UserChange::Title(Some(self.word())),
            4 => UserChange::Title(None),
            5 => UserChange::RemoveTitle,
            6 => UserChange::NickName(self.word()),
            7 => UserChange::FamilyName(self.word()),
            8 | 9 => UserChange::Active(self.random.percent(50)),
            10 => UserChange::TitleAndActive(self.word(), self.random.percent(50)),
            11..14 => UserChange::AddEmail(self.email()),
            14 => UserChange::Emails(self.emails()),
            15 => UserChange::RemoveEmails(self.kind()),
            16 => UserChange::EmailValue(self.kind(), self.address()),
            17 => UserChange::Fax(self.word()),
            18 => UserChange::Unknown,
            _ => UserChange::RemoveUserName,
        }
    }

    fn group_change(&mut self, possible: &[String]) -> GroupChange {
        match self.random.below(12) {
            0 => GroupChange::DisplayName(self.display_name()),
            1 => GroupChange::NameAndMembers(self.display_name(), self.members(possible)),
            2..6 => GroupChange::Add(self.members(possible)),
            6 | 7 if !possible.is_empty() => GroupChange::Remove(self.random.of(possible)),
            8 | 9 => GroupChange::RemoveListed(self.members(possible)),
            10 => GroupChange::RemoveAll,
            _ => GroupChange::Replace(self.members(possible)),
        }
    }

    fn members(&mut self, possible: &[String]) -> Vec<String> {
        let count = self.random.below(4).min(possible.len());
        (0..count).map(|_| self.random.of(possible)).collect()
    }

    fn word(&mut self) -> String {
        self.random.of(&["Keeper", "Pilot", "Cook"]).to_owned()
    }

    fn kind(&mut self) -> &'static str {
        self.random.of(&["work", "home", "other"])
    }

    fn address(&mut self) -> String {
        self.random.of(&["a@example.com", "b@example.com", "c@example.com"]).to_owned()
    }

    fn email(&mut self) -> Email {
        let primary = self.random.percent(25).then_some(true);
        Email { value: self.address(), kind: self.kind(), primary }
    }

    /// At most one of each type, and at most one that is primary.
    fn emails(&mut self) -> Vec<Email> {
        let count = self.random.below(3);
        let mut emails: Vec<Email> = Vec::new();
        for _ in 0..count {
            let mut email = self.email();
            if emails.iter().any(|other| other.primary.is_some()) {
                email.primary = None;
            }
            if emails.iter().all(|other| other.kind != email.kind) {
                emails.push(email);
            }
        }
        emails
    }
}

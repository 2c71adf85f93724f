//! Enrolling, and the loop: look, decide, grant.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use account_keys::{
    AccountKey, AccountSecret, Fill, Member, OrganizationKey, Possession, fingerprint, fingerprint_typed,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Error, Line, Result,
    confirm::{Candidate, Granted, Holder, KitGranted, Known, Left, Own},
    messages::{
        self, Bytes, Confirm, Confirmed, Enroll, Itself, ListMembers, Members, NewGrant, NewKit, Nothing, Rotate,
    },
    server::{Server, address},
    state::{State, credential},
};

/// Grants of one call.
const AT_ONCE: usize = 100;
/// Looks after which it is looked anew what takes many calls.
const ANEW: u32 = 40;
/// After many failures.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What enrolling takes.
#[derive(Clone, Debug)]
pub struct Enrolling {
    /// Where the server is, as members reach it.
    pub url: String,
    /// The organization's slug: the credential must be of this one.
    pub organization: String,
    /// The file with what an administrator was shown.
    pub credential: PathBuf,
    /// Where the agent keeps what it is.
    pub state: PathBuf,
    /// Of the server's certificate, PEM.
    pub ca: Option<PathBuf>,
}

/// What running takes.
#[derive(Clone, Debug)]
pub struct Running {
    /// Where the agent keeps what it is.
    pub state: PathBuf,
    /// Of the server's certificate, PEM.
    pub ca: Option<PathBuf>,
    /// Between two looks.
    pub interval: Duration,
    /// One look.
    pub once: bool,
    /// Those alone from whom it takes the organization key for the first time.
    pub granter_phrase: Option<String>,
    /// Whom it confirms; empty: everybody.
    pub only_email_domains: Vec<String>,
}

type Say<'a> = dyn FnMut(Line) + Send + 'a;

/// Makes the agent's keys, and gives the server the public ones. Again with the same state file it makes none and says the same.
///
/// # Errors
/// Why not, and what to do.
pub async fn enroll(options: &Enrolling, random: &mut (dyn FnMut(&mut [u8]) + Send)) -> Result<Line> {
    let url = address(&options.url)?;
    let secret = credential(&options.credential)?;
    let server = Server::new(&url, &secret, options.ca.as_deref())?;
    let known = if options.state.exists() { Some(State::load(&options.state)?) } else { None };
    let me: Itself = server.call("self", &Nothing {}).await?;
    if me.slug != options.organization {
        let why = format!(
            "this credential is of an agent of the organization {}, not of {}. Nothing was done",
            shown(&me.slug),
            options.organization
        );
        return Err(Error::Usage(why));
    }
    let state = match known {
        Some(mut state) if state.agent == me.agent => {
            // The server may have moved.
            if state.url != url {
                state.url = url;
                state.save(&options.state)?;
            }
            state
        }
        Some(state) => {
            let why = format!("it is of another agent ({}). Give --state another file", state.name);
            return Err(Error::File { what: "the state file", path: options.state.clone(), why });
        }
        None if me.key.is_some() => {
            let why = "this agent has enrolled already, with keys that are in another state file. Use that one; if it is lost, or it was \
                       not you, revoke the agent and create a new one";
            return Err(Error::Usage(why.to_owned()));
        }
        None => {
            let member = Member { organization: me.organization, user: me.agent };
            let key = AccountKey { member, key_id: me.key_id, version: me.version };
            let account_secret = AccountSecret::generate(random);
            let state = State::new((url, secret), (me.slug.clone(), shown(&me.name)), key, &account_secret);
            // Before the server knows: keys that it had and nobody else would be lost.
            state.save(&options.state)?;
            state
        }
    };
    let own = state.own();
    let enroll = Enroll {
        key_id: own.key.key_id,
        public_keys: own.keys.public().into(),
        possession: Bytes(Possession::make(&own.key, &own.keys, &me.challenge.0).0),
    };
    let answer: Itself = server.call("enroll", &enroll).await?;
    if answer.key.map(|key| key.public_keys) != Some(enroll.public_keys) {
        return Err(Error::Distrusted(
            "the server says that it has other keys of this agent than were sent".to_owned(),
        ));
    }
    Ok(enrolled(&state, &own, &options.state))
}

/// What the agent is, by its state file alone.
///
/// # Errors
/// There is none, or it cannot be read.
pub fn show(state: &std::path::Path) -> Result<Line> {
    let loaded = State::load(state)?;
    Ok(enrolled(&loaded, &loaded.own(), state))
}

fn enrolled(state: &State, own: &Own, path: &std::path::Path) -> Line {
    let phrase = phrase_of(own, &own.holder());
    let granters: Vec<String> = state.granters.iter().map(|pinned| phrase_of(own, &Holder::from(*pinned))).collect();
    let mut text =
        format!("The agent {} of {} has keys.\nFingerprint phrase: {phrase}\n", state.name, state.organization);
    if granters.is_empty() {
        text += "Next: a confirmed administrator opens the account page, compares this phrase with the one shown there, and confirms the \
                 agent. Then run: rollcall confirm-agent run --state ";
        text += &path.display().to_string();
    } else {
        text += &format!("It takes the organization key from: {}", granters.join("; "));
    }
    let json = json!({
        "agent": state.agent,
        "name": state.name,
        "organization": state.organization,
        "url": state.url,
        "fingerprint": phrase,
        "granters": granters,
    });
    Line { what: "enrolled", text, json }
}

fn phrase_of(own: &Own, holder: &Holder) -> String {
    fingerprint(&Member { organization: own.organization, user: holder.user }, &holder.public)
}

/// Looks, and grants to whom it may, again and again, until it fails for good. What is told twice alike is told once.
///
/// # Errors
/// What cannot pass by itself; with `once`, any.
pub async fn run(
    options: &Running,
    random: &mut (dyn FnMut(&mut [u8]) + Send),
    say: &mut (dyn FnMut(Line) + Send),
) -> Result<()> {
    let granter_phrase = options.granter_phrase.as_deref().map(phrase_typed).transpose()?;
    let state = State::load(&options.state)?;
    let server = Server::new(&state.url, &state.credential, options.ca.as_deref())?;
    let own = state.own();
    let mut looking = Looking {
        options,
        granter_phrase,
        server,
        own,
        state,
        told: HashSet::new(),
        known: None,
        rotation_left: None,
        looks: 0,
    };
    let (mut failures, mut failure) = (0_u32, String::new());
    loop {
        match looking.look(random, say).await {
            Ok(()) => {
                failures = 0;
                if looking.told.remove(&failure) {
                    say(Line { what: "recovered", text: "The server answers again.".to_owned(), json: json!({}) });
                }
            }
            Err(error) if options.once || !error.passes() => return Err(error),
            Err(error) => {
                failures = failures.saturating_add(1);
                failure = format!("{error}. Trying again.");
                looking.once(say, "failed", failure.clone(), json!({ "error": error.to_string() }));
            }
        }
        looking.looks = looking.looks.wrapping_add(1);
        if options.once {
            return Ok(());
        }
        tokio::time::sleep(pause(options.interval, failures, random)).await;
    }
}

/// Twice as long after each failure, and never quite the same: many agents do not come at once.
fn pause(interval: Duration, failures: u32, random: &mut Fill<'_>) -> Duration {
    let longest = LONGEST_WAIT.max(interval);
    let wait = interval.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(longest);
    let mut byte = [0_u8];
    random(&mut byte);
    // Between four fifths and six fifths.
    wait.mul_f64(0.8 + 0.4 * f64::from(byte[0]) / 255.0)
}

struct Looking<'a> {
    options: &'a Running,
    /// That of the options, as phrases are written.
    granter_phrase: Option<String>,
    server: Server,
    own: Own,
    state: State,
    /// What was said.
    told: HashSet<String>,
    /// Who is known, and which keys that was asked for: to ask takes a call for each hundred members.
    known: Option<(Known, HashSet<Uuid>)>,
    /// The version that an administrator is to rotate.
    rotation_left: Option<u32>,
    looks: u32,
}

impl Looking<'_> {
    async fn look(&mut self, random: &mut (dyn FnMut(&mut [u8]) + Send), say: &mut Say<'_>) -> Result<()> {
        let shown: messages::OrganizationKey = self.server.call("organization-key", &Nothing {}).await?;
        if shown.version < self.state.newest {
            let why = format!(
                "the server shows version {} of the organization key, and has shown version {} before: it was restored from an old \
                 backup, or holds back. Nothing was granted",
                shown.version, self.state.newest
            );
            return Err(Error::Distrusted(why));
        }
        let granted = shown.granted.map(Granted::from).filter(|granted| granted.version == shown.version);
        let Some(granted) = granted.filter(|granted| granted.version > 0) else {
            self.waiting(shown.version, say);
            return Ok(());
        };
        let mut key = self.open(&granted, say)?;
        let mut version = granted.version;
        if self.looks.is_multiple_of(ANEW) {
            (self.known, self.rotation_left) = (None, None);
        }
        if shown.rotation_due
            && self.rotation_left != Some(version)
            && let Some(made) = self.rotate((version, &key), shown.kit.map(KitGranted::from), random, say).await?
        {
            (version, key) = made;
        }
        self.confirm((version, &key), random, say).await
    }

    fn waiting(&mut self, version: u32, say: &mut Say<'_>) {
        let phrase = phrase_of(&self.own, &self.own.holder());
        let text = if version == 0 {
            "The organization has no key yet: an administrator makes it on the account page.".to_owned()
        } else {
            format!(
                "This agent waits for version {version} of the organization key. A confirmed administrator confirms it on the account \
                 page, after comparing its fingerprint phrase: {phrase}"
            )
        };
        self.once(say, "waiting", text, json!({ "version": version, "fingerprint": phrase }));
    }

    /// From whom it is believed: who gave it the first one, or whom the phrase on the command line names, and itself.
    fn open(&mut self, granted: &Granted, say: &mut Say<'_>) -> Result<OrganizationKey> {
        let key = self.own.open(granted)?;
        let Granted { version, granter, .. } = granted;
        let pinned = self.state.granters.iter().any(|pinned| Holder::from(*pinned) == *granter);
        if !pinned && *granter != self.own.holder() {
            let phrase = phrase_of(&self.own, granter);
            match &self.granter_phrase {
                Some(expected) if *expected != phrase => {
                    return Err(Error::Distrusted(format!(
                        "version {version} of the organization key was given by the member with the phrase \"{phrase}\", which is not the one \
                         of --granter-phrase. Nothing was granted. If the phrase was mistyped, run it again; else revoke this agent and \
                         look at who confirmed it"
                    )));
                }
                None if !self.state.granters.is_empty() => {
                    return Err(Error::Distrusted(format!(
                        "version {version} of the organization key was given by somebody new, with the phrase \"{phrase}\". Nothing was \
                         granted. Compare it with that administrator's account page, then run this once with --granter-phrase \"{phrase}\""
                    )));
                }
                Some(_) | None => {}
            }
            self.state.granters.push((*granter).into());
            self.state.newest = *version;
            self.state.save(&self.options.state)?;
            let compared = self.granter_phrase.is_some();
            let advice = if compared {
                ""
            } else {
                " Compare it with that administrator's account page: from now on these keys are believed."
            };
            let text = format!(
                "Version {version} of the organization key was given by the administrator with the phrase: {phrase}.{advice}"
            );
            self.once(say, "granted", text, json!({ "version": version, "granter": phrase, "compared": compared }));
        } else if *version > self.state.newest {
            self.state.newest = *version;
            self.state.save(&self.options.state)?;
        }
        Ok(key)
    }

    /// All who wait; `next`: who would, if there were a next version.
    async fn members(&self, next: bool) -> Result<Vec<Candidate>> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let request = ListMembers { after, of_next_version: next };
            let Members { members, more } = self.server.call("members", &request).await?;
            all.extend(members.into_iter().map(Candidate::from));
            match all.last() {
                Some(last) if more => after = last.holder.key_id.to_string(),
                _ => return Ok(all),
            }
        }
    }

    /// Itself, those whom it got the organization key from, and whoever follows from these.
    fn known(&self, all: &[Candidate]) -> Known {
        let granters = self.state.granters.iter().map(|pinned| Holder::from(*pinned));
        let mut known = Known::of(granters.chain([self.own.holder()]));
        known.follow(self.own.organization, all);
        known
    }

    /// `None`: an administrator does it.
    async fn rotate(
        &mut self,
        (version, before): (u32, &OrganizationKey),
        kit: Option<KitGranted>,
        random: &mut (dyn FnMut(&mut [u8]) + Send),
        say: &mut Say<'_>,
    ) -> Result<Option<(u32, OrganizationKey)>> {
        let all = self.members(true).await?;
        let known = self.known(&all);
        let may = match &kit {
            Some(kit) => self.own.may_rotate(kit, &all, &known),
            None => Err("the server shows no emergency kit of the organization"),
        };
        let kit = match (may, kit) {
            (Ok(()), Some(kit)) => kit,
            (may, _) => {
                let why = may.err().unwrap_or_default();
                let text = format!(
                    "A new organization key is due, since somebody who had it is gone. This agent leaves it to an administrator on the \
                     account page: {why}."
                );
                self.once(say, "rotation_left", text, json!({ "version": version, "why": why }));
                self.rotation_left = Some(version);
                return Ok(None);
            }
        };
        let made = self.own.rotate(version, before, kit.public_key, random)?;
        let request = Rotate {
            grant: self.new_grant(made.version, self.own.holder(), made.grant),
            link: made.link.into(),
            kit: NewKit { public_key: Bytes(kit.public_key), grant: made.kit.into() },
        };
        let shown: messages::OrganizationKey = self.server.call("organization-key/rotate", &request).await?;
        if shown.version != made.version {
            return Err(Error::Unreachable(format!("the server took version {} for {}", made.version, shown.version)));
        }
        self.state.newest = made.version;
        self.state.save(&self.options.state)?;
        let text =
            format!("Made version {} of the organization key: somebody who had the one before is gone.", made.version);
        self.once(say, "rotated", text, json!({ "version": made.version }));
        Ok(Some((made.version, made.key)))
    }

    async fn confirm(
        &mut self,
        (version, key): (u32, &OrganizationKey),
        random: &mut (dyn FnMut(&mut [u8]) + Send),
        say: &mut Say<'_>,
    ) -> Result<()> {
        let waiting = self.members(false).await?;
        let had: HashSet<Uuid> = waiting.iter().filter(|one| one.was_confirmed).map(|one| one.holder.key_id).collect();
        let known = match &self.known {
            Some((known, asked_for)) if had.is_subset(asked_for) => known.clone(),
            _ if had.is_empty() => self.known(&[]),
            _ => {
                // Who vouches for these may have the newest version already, and not be among them.
                let known = self.known(&self.members(true).await?);
                self.known = Some((known.clone(), had));
                known
            }
        };
        let mut chosen = Vec::new();
        for candidate in &waiting {
            match self.own.decide(candidate, &known, &self.options.only_email_domains) {
                Ok(()) => chosen.push(candidate),
                Err(Left::Itself) => {}
                Err(left) => self.left(candidate, left.why(), say),
            }
        }
        for some in chosen.chunks(AT_ONCE) {
            let mut grants = Vec::with_capacity(some.len());
            for Candidate { holder, .. } in some {
                let grant = self.own.seal(key, version, holder.recipient(), random)?;
                grants.push(self.new_grant(version, *holder, grant));
            }
            let Confirmed { confirmed } = self.server.call("members/confirm", &Confirm { grants }).await?;
            for candidate in some {
                let user = candidate.holder.user.to_string();
                let answer = confirmed.iter().find(|one| one.user == user).map(|one| one.refused.as_str());
                match answer {
                    Some("") => {
                        let text = format!("Confirmed {} ({}).", candidate.name, candidate.email);
                        let json = json!({ "user": user, "version": version, "again": candidate.was_confirmed });
                        say(Line { what: "confirmed", text, json });
                    }
                    other => {
                        let why = other.map_or("the server said nothing of it".to_owned(), |why| {
                            format!("was refused by the server: {}", shown(why))
                        });
                        self.left(candidate, &why, say);
                    }
                }
            }
        }
        Ok(())
    }

    fn left(&mut self, candidate: &Candidate, why: &str, say: &mut Say<'_>) {
        let text = format!("Not confirmed: {} ({}) {why}.", candidate.name, candidate.email);
        self.once(say, "left", text, json!({ "user": candidate.holder.user, "why": why }));
    }

    fn new_grant(&self, version: u32, to: Holder, grant: account_keys::Grant) -> NewGrant {
        NewGrant { version, user: to.user, key_id: to.key_id, grant: grant.into(), granter_key_id: self.own.key.key_id }
    }

    fn once(&mut self, say: &mut Say<'_>, what: &'static str, text: String, json: serde_json::Value) {
        if self.told.insert(text.clone()) {
            say(Line { what, text, json });
        }
    }
}

/// One that is none would be somebody whom nobody is.
fn phrase_typed(typed: &str) -> Result<String> {
    fingerprint_typed(typed).map_err(|error| {
        Error::Usage(format!(
            "--granter-phrase is no fingerprint phrase: {error}. Copy all eight words from the account page of the administrator who \
             confirms this agent, with spaces between them"
        ))
    })
}

/// What others typed may not steer the terminal.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_phrase_is_said_before_anything_is_done() {
        let good = " Abandon ability able about\nabove absent absorb ABSTRACT ";
        assert_eq!(phrase_typed(good).expect("a phrase"), "abandon ability able about above absent absorb abstract");
        for (bad, why) in [
            ("abandon ability able", "here are 3"),
            ("abandon ability able about above absent absorb abstract absurd", "here are 9"),
            ("abandon ability able about abve absent absorb abstract", "word 5"),
        ] {
            let error = phrase_typed(bad).expect_err(bad).to_string();
            assert!(error.contains("--granter-phrase") && error.contains(why) && !error.contains("abve"), "{error}");
        }
    }

    #[test]
    fn it_waits_longer_after_failures_and_never_too_long() {
        let interval = Duration::from_secs(15);
        let at = |byte: u8, failures| pause(interval, failures, &mut |bytes: &mut [u8]| bytes.fill(byte));
        assert_eq!((at(0, 0), at(255, 0)), (Duration::from_secs(12), Duration::from_secs(18)));
        assert_eq!(at(0, 2), Duration::from_secs(48));
        assert_eq!(at(255, 40), Duration::from_secs(360));
        let rare = pause(Duration::from_secs(3600), 1, &mut |bytes: &mut [u8]| bytes.fill(0));
        assert_eq!(rare, Duration::from_secs(2880), "as rare as was asked for");
    }

    #[test]
    fn what_was_typed_does_not_steer_the_terminal() {
        assert_eq!(shown("a\u{1b}[2J"), "a\u{fffd}[2J");
    }
}

//! Accounts: how members sign in, their sessions, and what services and consoles see of them.
//!
//! Not here: keys (`account_keys`) and the organization key (`org_keys`).

use std::collections::BTreeMap;

use ::store::{AnyConnection, Error, Instant};
use scim::schema::Types;
use serde_json::json;
use uuid::Uuid;
use wire::{Reason, Refusal};

use super::{Core, Scope, mails::mail_enqueue, organization_of, organizations::not_a_client};
use crate::{
    domain::{
        OrgId, SessionId, UserId,
        account::{
            AccountSession, Link, Member, Named, NewAccountSession, NotAdmitted, Policy, Presence, Stage, State,
            account_locked, check_url, shown_id,
        },
        actor::{Actor, ActorKind},
        admin::Pin,
        event::{Kind, NewEvent},
        list::Target,
        mail::Notice,
        plan::plan_full,
        secret::{ACCOUNT, Hash, Secret},
        session::{Browser, session_invalid},
        sign_in::check_subject,
        user::{Notes, UserContent, delta, parse_stored, user_not_found},
    },
    error::{Refused, from_scim, internal, refusal},
    store::{
        account::{self, Seen},
        account_session, organization, rank, sign_in,
        statement::Lock,
        user,
    },
};

/// Accounts of one answer, and of one request to invite.
pub(crate) const LISTED: usize = 100;
/// Users that are looked at for one page of those in a state.
const LOOKED_AT: usize = 1000;
/// Users that one claim may find by the indexes, before it is looked whom it fits.
const CANDIDATES: i64 = 11;

/// What a sign-in comes to.
enum SignIn {
    Done(Box<AccountSession>),
    Refused(NotAdmitted),
}

/// A user whom the provider named.
struct Admitted {
    user: UserId,
    /// By which claim, the first time.
    linked: Option<Link>,
}

/// Why not, and whom it is about where that is known.
type Refusing = (NotAdmitted, Option<UserId>);

/// What is shown of a list, and what to go on after.
pub(crate) struct Listed {
    pub(crate) members: Vec<Member>,
    pub(crate) next: Option<UserId>,
}

/// Some of a list's users as one index has them. `until`: there are more behind it.
struct Part {
    seen: Vec<Seen>,
    until: Option<UserId>,
}

impl Part {
    fn of(seen: Vec<Seen>, limit: usize) -> Self {
        let until = seen.last().filter(|_| seen.len() >= limit).map(|last| last.user);
        Self { seen, until }
    }
}

pub(super) fn member_scope(org: OrgId, user: UserId, request_id: &str) -> Scope {
    let kind = ActorKind::Member { user: user.to_string() };
    Scope { org, actor: Actor { kind, request_id: request_id.to_owned() } }
}

impl Core {
    /// A session for the user whom the provider named. A refusal is an event.
    pub(crate) async fn account_sign_in(
        &self,
        org: OrgId,
        named: Named,
        browser: Browser,
        request_id: String,
    ) -> Result<(AccountSession, String), Refusal> {
        check_subject(&named.subject)?;
        let types = self.types(org).await?;
        let (core, now) = (self.clone(), self.clock.now());
        let (id, made) = (SessionId(self.ids.next()), UserId(self.ids.next()));
        let secret = Secret::generate(ACCOUNT, &self.random);
        let hash = secret.hash();
        let done = self.write(org, move |conn| {
            organization_of(conn, org)?;
            let by = ActorKind::InternalService { name: "console".to_owned() };
            let by = Scope { org, actor: Actor { kind: by, request_id: request_id.clone() } };
            let admitted = match core.admitted(conn, &by, &types, (&named, made), now)? {
                Ok(admitted) => admitted,
                Err((why, user)) => {
                    core.record(conn, &by, now, &[refused_event(org, &named, why, user)])?;
                    return Ok(SignIn::Refused(why));
                }
            };
            let user = admitted.user;
            account::account_signed_in(conn, org, user, now)?;
            let new = NewAccountSession { id, user, secret: hash, browser: browser.clone() };
            account_session::account_session_insert(conn, org, &new, now)?;
            let delta = json!({
                "session": id.to_string(),
                "issuer": named.issuer,
                "subject": named.subject,
                "linked_by": admitted.linked.map(Link::as_str),
                "address": new.browser.address,
                "user_agent": new.browser.user_agent,
            });
            let event = NewEvent { kind: Kind::AccountSignedIn, subject: user.0, delta };
            core.record(conn, &member_scope(org, user, &request_id), now, &[event])?;
            let session = account_session::account_session_get(conn, org, hash)?;
            // Deactivated at the same time, say.
            let session = session.filter(|session| session.holds(now));
            session.map(|session| SignIn::Done(Box::new(session))).ok_or(Refused::Store(Error::Serialization))
        });
        match done.await? {
            SignIn::Done(session) => Ok((*session, secret.into_answer())),
            SignIn::Refused(why) => Err(why.refusal()),
        }
    }

    /// The user whom the provider named, as the sign-in leaves its account. The first time it is found by a claim, from then on
    /// by issuer and subject alone.
    fn admitted(
        &self,
        conn: &mut AnyConnection,
        by: &Scope,
        types: &Types,
        (named, made): (&Named, UserId),
        now: Instant,
    ) -> Result<Result<Admitted, Refusing>, Refused> {
        let org = by.org;
        match sign_in::provider_get(conn, org)? {
            None => return Ok(Err((NotAdmitted::NoProvider, None))),
            Some(provider) if provider.issuer != named.issuer => return Ok(Err((NotAdmitted::OtherProvider, None))),
            Some(_) => {}
        }
        let pin = Pin { issuer: named.issuer.clone(), subject: named.subject.clone() };
        let known = account::account_by_pin(conn, org, &pin)?.map(|account| account.user);
        if let Some(known) = known {
            match user::user_lock(conn, org, known, Lock::Refer)? {
                Some(user) if user.active == Some(true) => return Ok(Ok(Admitted { user: known, linked: None })),
                Some(_) => return Ok(Err((NotAdmitted::Deactivated, Some(known)))),
                // Deleted. Another one may have been provisioned for the same person.
                None => {}
            }
        }
        let policy = account::account_policy(conn, org)?;
        let found = match (fitting(conn, org, named, policy.link)?, known) {
            (Ok(found), _) => found,
            (Err(_), Some(known)) => return Ok(Err((NotAdmitted::Deleted, Some(known)))),
            (Err(why), None) => return Ok(Err((why, None))),
        };
        let user = match (found, known) {
            (Some(user), _) => user,
            (None, Some(known)) => return Ok(Err((NotAdmitted::Deleted, Some(known)))),
            (None, None) if policy.just_in_time => match self.made(conn, by, types, (named, made, policy), now)? {
                Ok(()) => made,
                Err(why) => return Ok(Err((why, None))),
            },
            (None, None) => return Ok(Err((NotAdmitted::NotProvisioned, None))),
        };
        match user::user_lock(conn, org, user, Lock::Refer)? {
            None => return Err(Refused::Store(Error::Serialization)),
            Some(user) if user.active != Some(true) => {
                return Ok(Err((NotAdmitted::Deactivated, Some(user.id))));
            }
            Some(_) => {}
        }
        let account = account::account_lock(conn, org, user)?;
        // The pin of a provider that the organization has left says nothing of the new one.
        let pinned = account.as_ref().and_then(|account| account.pin.as_ref());
        if pinned.is_some_and(|other| other.issuer == pin.issuer && *other != pin) {
            return Ok(Err((NotAdmitted::PinnedElsewhere, Some(user))));
        }
        if let Some(known) = known {
            account::account_pin_set(conn, org, known, None)?;
        }
        match account {
            Some(_) => {
                account::account_pin_set(conn, org, user, Some(&pin))?;
                // Those of the former provider do not come back.
                account_session::account_sessions_end_of(conn, org, user, now)?;
            }
            // Where another sign-in has just done so, that one's is read.
            None if account::account_insert(conn, org, user, &pin, now)? => {}
            None => return Err(Refused::Store(Error::Serialization)),
        }
        Ok(Ok(Admitted { user, linked: Some(policy.link) }))
    }

    /// Creates who was not provisioned, by the way that SCIM goes.
    fn made(
        &self,
        conn: &mut AnyConnection,
        by: &Scope,
        types: &Types,
        (named, id, policy): (&Named, UserId, Policy),
        now: Instant,
    ) -> Result<Result<(), NotAdmitted>, Refused> {
        let body = match named.body(policy.link) {
            Ok(body) => body,
            Err(why) => return Ok(Err(why)),
        };
        let accepted = scim::resource::create(&types.user, body).map_err(from_scim);
        let content = accepted.and_then(|accepted| UserContent::new(&types.user, accepted.resource));
        let Ok(content) = content else { return Ok(Err(NotAdmitted::Unusable)) };
        let by_name = user::UserKey::UserName(content.user_name_key.clone());
        if !user::users_find(conn, by.org, &by_name, false, 1)?.1.is_empty() {
            return Ok(Err(NotAdmitted::NameTaken));
        }
        let delta = delta(None, Some(&content.resource), &Notes::default());
        let event = NewEvent { kind: Kind::UserCreated, subject: id.0, delta };
        let (gate, created) = user::user_create(conn, by.org, &self.author(by, now), id, &content, &event)?;
        match gate.and_then(|gate| gate.max_users) {
            _ if created => Ok(Ok(())),
            Some(most) => {
                if let Some(entitlement) = plan_full(most).entitlement {
                    self.plan_notices.refused(by.org, entitlement, now);
                }
                Ok(Err(NotAdmitted::PlanFull))
            }
            None => Err(Refused::Refused(internal(&"a user was not created, and nothing says why"))),
        }
    }

    /// By the hash of its secret. Counts as a use.
    pub(crate) async fn account_session_verify(
        &self,
        shown: Hash,
        browser: Browser,
    ) -> Result<AccountSession, Refusal> {
        let (session, now) = self.account_session(shown).await?;
        if session.use_due(now) {
            let (org, id) = (session.org, session.id);
            let used = move |conn: &mut AnyConnection| {
                Ok(account_session::account_session_used(conn, org, id, &browser, now)?)
            };
            self.db.of(org).write(used).await.map_err(refusal)?;
        }
        Ok(session)
    }

    pub(crate) async fn account_session_end(&self, shown: Hash) -> Result<(), Refusal> {
        let now = self.clock.now();
        let Some(session) = self.account_session_find(shown).await? else { return Ok(()) };
        let (org, id) = (session.org, session.id);
        let end = move |conn: &mut AnyConnection| Ok(account_session::account_session_end(conn, org, id, now)?);
        self.db.of(org).write(end).await.map_err(refusal)
    }

    /// The secret finds the organization, and nothing else across organizations.
    async fn account_session_find(&self, shown: Hash) -> Result<Option<AccountSession>, Refusal> {
        let owner = self.db.across().seek(move |conn| Ok(account_session::account_session_by_hash(conn, shown)?)).await;
        let Some(org) = owner.map_err(refusal)? else { return Ok(None) };
        self.seek(org, move |conn| Ok(account_session::account_session_get(conn, org, shown)?)).await
    }

    /// One that holds.
    pub(super) async fn account_session(&self, shown: Hash) -> Result<(AccountSession, Instant), Refusal> {
        let now = self.clock.now();
        let found = self.account_session_find(shown).await?.ok_or_else(session_invalid)?;
        if found.holds(now) {
            return Ok((found, now));
        }
        if !found.ended && found.member.presence != Presence::Active {
            // It does not come back with the user.
            let (org, id) = (found.org, found.id);
            let end = move |conn: &mut AnyConnection| Ok(account_session::account_session_end(conn, org, id, now)?);
            self.db.of(org).write(end).await.map_err(refusal)?;
        }
        Err(session_invalid())
    }

    /// Deleted ones are found while they can be restored.
    pub(crate) async fn account_get(&self, org: OrgId, id: UserId) -> Result<Member, Refusal> {
        let now = self.clock.now();
        self.seek(org, move |conn| {
            organization_of(conn, org)?;
            if let Some(member) = account::member_get(conn, org, id)? {
                return Ok(member);
            }
            let deleted = account::deleted_members_get(conn, org, &[id.0], now)?;
            deleted.into_iter().next().ok_or_else(|| Refused::Refused(user_not_found()))
        })
        .await
    }

    /// By user id. `states` empty: all but deleted ones.
    pub(crate) async fn account_list(
        &self,
        org: OrgId,
        states: Vec<State>,
        after: UserId,
        limit: usize,
    ) -> Result<Listed, Refusal> {
        let now = self.clock.now();
        self.snapshot(org, move |conn| {
            organization_of(conn, org)?;
            Ok(listed(conn, org, &states, after, limit, now)?)
        })
        .await
    }

    /// By state.
    pub(crate) async fn account_count(&self, org: OrgId) -> Result<BTreeMap<State, i64>, Refusal> {
        let now = self.clock.now();
        self.snapshot(org, move |conn| {
            organization_of(conn, org)?;
            let mut counts = BTreeMap::new();
            let mut users = rank::rank_total(conn, org, Target::User)?;
            for count in account::accounts_counted(conn, org)? {
                let (presence, stage) = count.of();
                if presence == Presence::Deleted {
                    continue;
                }
                users -= count.n;
                *counts.entry(State::of(presence, Some(stage)).0).or_default() += count.n;
            }
            // Where a total and the accounts were read apart.
            counts.insert(State::Provisioned, users.max(0));
            counts.insert(State::Deleted, account::deleted_count(conn, org, now)?);
            Ok(counts)
        })
        .await
    }

    pub(crate) async fn account_policy(&self, org: OrgId) -> Result<Policy, Refusal> {
        self.seek(org, move |conn| {
            organization_of(conn, org)?;
            Ok(account::account_policy(conn, org)?)
        })
        .await
    }

    pub(crate) async fn account_policy_set(&self, scope: Scope, after: Policy) -> Result<Policy, Refusal> {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(scope.org, move |conn| {
            organization::organization_lock(conn, scope.org)?;
            organization_of(conn, scope.org)?;
            let before = account::account_policy(conn, scope.org)?;
            if before == after {
                return Ok(before);
            }
            account::account_policy_set(conn, scope.org, after, now)?;
            let shown = |of: &Policy| {
                json!({
                    "link": of.link.as_str(),
                    "just_in_time": of.just_in_time,
                    "confirm_automatically": of.confirm_automatically,
                })
            };
            let delta = json!({ "before": shown(&before), "after": shown(&after) });
            core.record(conn, &scope, now, &[NewEvent { kind: Kind::AccountPolicySet, subject: scope.org.0, delta }])?;
            Ok(after)
        })
        .await
    }

    /// The next sign-in finds the user by the claim again.
    pub(crate) async fn account_unlink(&self, scope: Scope, user: UserId) -> Result<Member, Refusal> {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(scope.org, move |conn| {
            organization_of(conn, scope.org)?;
            let org = scope.org;
            let member = account::member_get(conn, org, user)?.ok_or_else(|| Refused::Refused(user_not_found()))?;
            let pin = account::account_lock(conn, org, user)?.and_then(|account| account.pin);
            let Some(pin) = pin else { return Ok(member) };
            account::account_pin_set(conn, org, user, None)?;
            account_session::account_sessions_end_of(conn, org, user, now)?;
            let delta = json!({ "issuer": pin.issuer, "subject": pin.subject });
            core.record(conn, &scope, now, &[NewEvent { kind: Kind::AccountUnlinked, subject: user.0, delta }])?;
            Ok(member)
        })
        .await
    }

    /// Tells users by mail where to finish their set-up. How many, and how many were left out.
    pub(crate) async fn account_invite(
        &self,
        scope: Scope,
        users: Vec<Option<UserId>>,
        url: String,
    ) -> Result<(u32, u32), Refusal> {
        not_a_client(&scope.actor)?;
        check_url(&url)?;
        if users.len() > LISTED {
            let message = format!("user_ids may name {LISTED} users at once. Send the others in further calls.");
            return Err(Refusal::new(Reason::InvalidArgument, message));
        }
        if !self.mailer.is_on() {
            let message = "This installation sends no mail: start it with --smtp-url, or tell the users yourself.";
            return Err(Refusal::new(Reason::MailOff, message));
        }
        let (core, now) = (self.clone(), self.clock.now());
        let told = self.write(scope.org, move |conn| {
            organization_of(conn, scope.org)?;
            let known: Vec<Uuid> = users.iter().flatten().map(|user| user.0).collect();
            let (mut sent, mut events) = (0_u32, Vec::new());
            for member in account::members_get(conn, scope.org, &known)? {
                if !is_invited(&member) {
                    continue;
                }
                let notice = Notice::SetUpInvited {
                    user: member.user.0,
                    user_name: member.user_name.clone(),
                    url: url.clone(),
                    hour: now.to_string().chars().take(13).collect(),
                };
                sent += 1;
                // Within the hour it was told already.
                if mail_enqueue(conn, scope.org, &core.ids, now, &member.email, &notice)? {
                    let delta = json!({ "email": member.email, "url": url });
                    events.push(NewEvent { kind: Kind::AccountInvited, subject: member.user.0, delta });
                }
            }
            core.record(conn, &scope, now, &events)?;
            let all = u32::try_from(users.len()).unwrap_or(u32::MAX);
            Ok((sent, all.saturating_sub(sent)))
        });
        let told = told.await?;
        self.mailer.poke();
        Ok(told)
    }
}

/// Who has not finished its set-up, and can be told so.
pub(crate) fn is_invited(member: &Member) -> bool {
    let stage = member.account.as_ref().map(|account| account.stage);
    let waits = matches!(stage, None | Some(Stage::SetUpRequired));
    waits && member.presence == Presence::Active && !member.email.is_empty()
}

/// In the caller's transaction: whoever lost its access since has no session any more.
pub(super) fn session_in(conn: &mut AnyConnection, shown: Hash, now: Instant) -> Result<AccountSession, Refused> {
    let found = match account_session::account_session_by_hash(conn, shown)? {
        Some(org) => account_session::account_session_get(conn, org, shown)?,
        None => None,
    };
    let found = found.filter(|session| session.holds(now));
    found.ok_or_else(|| Refused::Refused(session_invalid()))
}

/// The same, where the password or the kit was shown.
pub(super) fn unlocked_in(conn: &mut AnyConnection, shown: Hash, now: Instant) -> Result<AccountSession, Refused> {
    let session = session_in(conn, shown, now)?;
    if session.unlocked { Ok(session) } else { Err(Refused::Refused(account_locked())) }
}

/// The one user whom a claim fits. `None`: nobody.
fn fitting(
    conn: &mut AnyConnection,
    org: OrgId,
    named: &Named,
    link: Link,
) -> Result<Result<Option<UserId>, NotAdmitted>, Refused> {
    let sought = match named.sought(link) {
        Ok(sought) => sought,
        Err(why) => return Ok(Err(why)),
    };
    let found = account::candidates(conn, org, &sought, CANDIDATES)?;
    if i64::try_from(found.len()).is_ok_and(|found| found >= CANDIDATES) {
        // There may be others that were not looked at.
        return Ok(Err(NotAdmitted::Ambiguous));
    }
    let mut one = None;
    for candidate in found {
        let stored = parse_stored(&candidate.resource).map_err(Refused::Refused)?;
        let emails = scim::resource::user_keys(&stored).emails;
        if !sought.fits(&candidate.user_name, candidate.external_id.as_deref(), &emails) {
            continue;
        }
        if one.replace(candidate.id).is_some() {
            return Ok(Err(NotAdmitted::Ambiguous));
        }
    }
    Ok(Ok(one))
}

fn refused_event(org: OrgId, named: &Named, why: NotAdmitted, user: Option<UserId>) -> NewEvent {
    // What the provider says is bounded by nobody else.
    let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    let delta = json!({
        "why": why.as_str(),
        "issuer": short(&named.issuer),
        "subject": short(&named.subject),
        "email": short(&named.email),
        "email_verified": named.email_verified,
        "user_name": short(&named.user_name),
        "user": user.map(shown_id),
    });
    NewEvent { kind: Kind::AccountSignInRefused, subject: user.map_or(org.0, |user| user.0), delta }
}

fn listed(
    conn: &mut AnyConnection,
    org: OrgId,
    states: &[State],
    after: UserId,
    limit: usize,
    now: Instant,
) -> Result<Listed, Error> {
    let wanted = |state: State| states.is_empty() && state != State::Deleted || states.contains(&state);
    let looked_at = if states.is_empty() { limit.saturating_add(1) } else { LOOKED_AT };
    let rows = i64::try_from(looked_at).unwrap_or(i64::MAX);
    let mut parts = Vec::new();
    if wanted(State::Provisioned) || wanted(State::Suspended) {
        parts.push(Part::of(account::users_seen(conn, org, after, rows)?, looked_at));
    } else {
        for (state, stage) in [
            (State::SetUpRequired, Stage::SetUpRequired),
            (State::Accepted, Stage::Accepted),
            (State::Confirmed, Stage::Confirmed),
        ] {
            if wanted(state) {
                parts.push(Part::of(account::accounts_seen(conn, org, stage, after, rows)?, looked_at));
            }
        }
    }
    if wanted(State::Deleted) {
        parts.push(Part::of(account::deleted_seen(conn, org, after, rows)?, looked_at));
    }
    // What one of them has not looked at yet, the next page does.
    let until = parts.iter().filter_map(|part| part.until).min();
    let seen = parts.into_iter().flat_map(|part| part.seen);
    let mut found: Vec<Seen> = seen
        .filter(|seen| wanted(State::of(seen.presence, seen.stage).0) && until.is_none_or(|until| seen.user <= until))
        .collect();
    found.sort_by_key(|seen| seen.user);
    let full = found.len() > limit;
    found.truncate(limit);
    let next = if full { found.last().map(|last| last.user) } else { until };
    let of = |there: bool| -> Vec<Uuid> {
        found.iter().filter(|seen| (seen.presence != Presence::Deleted) == there).map(|seen| seen.user.0).collect()
    };
    let (there, deleted) = (of(true), of(false));
    let mut members = if there.is_empty() { Vec::new() } else { account::members_get(conn, org, &there)? };
    if !deleted.is_empty() {
        members.extend(account::deleted_members_get(conn, org, &deleted, now)?);
    }
    members.sort_by_key(|member| member.user);
    Ok(Listed { members, next })
}

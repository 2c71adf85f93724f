//! The organization key: made, rotated and granted by members' browsers and by agents. The service sees that who grants may, and
//! that what it grants is for the keys that a member has.

use std::collections::{HashMap, hash_map::Entry};

use ::store::{AnyConnection, Error, Instant};
use account_keys::{RecoveryProof, RecoveryVerifier};
use serde_json::json;
use wire::{Reason, Refusal};

use super::{
    Core, Scope,
    account_keys::{locked, no_keys},
    accounts::{member_scope, unlocked_in},
    agents::{agent_in, agent_keys, agent_scope, agent_shown_in},
    contended,
};
use crate::{
    domain::{
        OrgId, UserId,
        account::{AccountSession, KeyId, Member, Presence, PublicKey, Stage, account_state},
        agent::{Agent, AgentId, AgentState},
        event::{Kind, NewEvent},
        keys::{ChainLink, KitSeal, MemberGrant, OrgKey, ShownOrgKey, Waiting, not_confirming},
        secret::Hash,
    },
    error::Refused,
    store::{account, account_key, account_session, agent, org_key, statement::Lock, user},
};

/// Links of one answer.
const LINKS: i64 = 5_000;
/// Members of one answer, and grants of one call.
pub(crate) const AT_ONCE: usize = 100;

/// A version that a browser has made.
#[derive(Clone, Debug)]
pub(crate) struct NewOrgKey {
    pub(crate) grant: MemberGrant,
    /// But for the first.
    pub(crate) link: Option<(u32, ChainLink)>,
    /// Absent: as it was.
    pub(crate) kit_pub: Option<[u8; 32]>,
    pub(crate) kit_enc: [u8; 32],
    pub(crate) kit_ciphertext: [u8; 48],
    pub(crate) kit_signature: [u8; 64],
    /// With a new kit.
    pub(crate) kit_verifier: Option<[u8; 32]>,
}

/// What came of a grant: who, and what was wrong.
pub(crate) type Granted = (String, Option<String>);

/// Who shows what.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    /// A session of a member.
    Member(Hash),
    /// The credential of an agent.
    Agent(Hash),
}

/// Who may grant: a member who is an administrator of the console, or an agent.
struct Granter {
    holder: UserId,
    key: PublicKey,
    /// The version that it has; 0: none.
    granted: u32,
    /// In events.
    scope: Scope,
    agent: Option<AgentId>,
    /// Nobody looks at whom it grants to.
    unattended: bool,
}

impl Core {
    /// Whose organization it is about.
    async fn shown_by(&self, by: By) -> Result<(OrgId, Instant), Refusal> {
        match by {
            By::Member(shown) => self.account_session(shown).await.map(|(session, now)| (session.org, now)),
            By::Agent(shown) => self.agent(shown).await.map(|(agent, now)| (agent.org, now)),
        }
    }

    /// As whoever asks needs it.
    pub(crate) async fn org_key_get(&self, by: By) -> Result<ShownOrgKey, Refusal> {
        let (org, now) = self.shown_by(by).await?;
        self.snapshot(org, move |conn| after(conn, by, now)).await
    }

    pub(crate) async fn org_key_create(
        &self,
        shown: Hash,
        request_id: String,
        new: NewOrgKey,
    ) -> Result<ShownOrgKey, Refusal> {
        let (session, now) = self.account_session(shown).await?;
        let (core, org) = (self.clone(), session.org);
        self.write(org, move |conn| {
            let Granter { holder: user, key, scope, .. } = confirming(conn, By::Member(shown), &request_id, now)?;
            if org_key::org_key_newest(conn, org)?.is_some() {
                return Err(Refused::Refused(has_one()));
            }
            let kit = (new.kit_pub.unwrap_or_default(), new.kit_verifier);
            let made = made(org, &new, (1, None), kit, &key).map_err(Refused::Refused)?;
            if !org_key::org_key_insert(conn, org, &made, now)? {
                return Err(Refused::Refused(has_one()));
            }
            org_key::grant_set(conn, org, &new.grant, now)?;
            account::account_granted(conn, org, user, 1, now)?;
            let events = [
                NewEvent {
                    kind: Kind::OrganizationKeyCreated,
                    subject: org.0,
                    delta: json!({ "version": 1, "by": user.to_string(), "by_key": key.id.to_string() }),
                },
                confirmed_event(Kind::AccountConfirmed, &new.grant, user),
            ];
            core.record(conn, &scope, now, &events)?;
            after(conn, By::Member(shown), now)
        })
        .await
    }

    pub(crate) async fn org_key_rotate(
        &self,
        by: By,
        request_id: String,
        new: NewOrgKey,
    ) -> Result<ShownOrgKey, Refusal> {
        let (org, now) = self.shown_by(by).await?;
        let core = self.clone();
        self.write(org, move |conn| {
            let granter = confirming(conn, by, &request_id, now)?;
            let newest = newest_of(conn, org, &granter)?;
            let version = newest.version.saturating_add(1);
            if new.grant.version <= newest.version {
                return Err(contended());
            }
            let link = new.link.clone().filter(|(of, _)| *of == version).map(|(_, link)| link);
            let Some(link) = link else {
                return Err(Refused::Refused(wrong("The link is not of the next version. Begin again.")));
            };
            if granter.agent.is_some() && new.kit_pub.is_some_and(|kit_pub| kit_pub != newest.kit.kit_pub) {
                let message = "A new organization kit is made by an administrator on the account page: its words are shown to people.";
                return Err(Refused::Refused(not_confirming(message)));
            }
            let another = new.kit_pub.filter(|kit_pub| *kit_pub != newest.kit.kit_pub);
            let kit = match another {
                Some(_) if new.kit_verifier.is_none() => {
                    return Err(Refused::Refused(wrong("A new kit comes with the hash of its proof, kit_sha256.")));
                }
                Some(another) => (another, new.kit_verifier),
                None => (newest.kit.kit_pub, newest.kit_verifier),
            };
            let made = made(org, &new, (version, Some(link)), kit, &granter.key).map_err(Refused::Refused)?;
            if !org_key::org_key_insert(conn, org, &made, now)? {
                return Err(contended());
            }
            org_key::grant_set(conn, org, &new.grant, now)?;
            granted_to(conn, org, (granter.holder, granter.agent), version, now)?;
            let delta = json!({
                "version": version,
                "by": granter.holder.to_string(),
                "by_key": granter.key.id.to_string(),
                "was_due": newest.rotation_due.is_some(),
                "new_kit": another.is_some(),
            });
            let event = NewEvent { kind: Kind::OrganizationKeyRotated, subject: org.0, delta };
            core.record(conn, &granter.scope, now, &[event])?;
            after(conn, by, now)
        })
        .await
    }

    /// By who has opened the newest version with the organization's kit.
    pub(crate) async fn org_key_recover(
        &self,
        shown: Hash,
        request_id: String,
        proof: [u8; 32],
        grant: MemberGrant,
    ) -> Result<ShownOrgKey, Refusal> {
        let (session, now) = self.account_session(shown).await?;
        let (core, org) = (self.clone(), session.org);
        self.write(org, move |conn| {
            let by = By::Member(shown);
            let Granter { holder: user, key, granted, scope, .. } = confirming(conn, by, &request_id, now)?;
            let newest = org_key::org_key_newest(conn, org)?;
            let newest = newest.ok_or_else(|| Refused::Refused(none_yet()))?;
            if granted == newest.version {
                return after(conn, by, now);
            }
            let Some(verifier) = newest.kit_verifier else {
                let message = "The organization's kit is from an earlier version of this server and cannot be shown to it. Have \
                               a confirmed administrator make a new organization kit on the account page.";
                return Err(Refused::Refused(account_state(message)));
            };
            if RecoveryVerifier(verifier).verify(&RecoveryProof(proof)).is_err() {
                let message = "These words are of another kit than the organization's newest one. Look for a newer kit.";
                return Err(Refused::Refused(Refusal::new(Reason::UnlockFailed, message)));
            }
            if grant.version != newest.version {
                return Err(contended());
            }
            grant.check(org, &key, &key).map_err(Refused::Refused)?;
            org_key::grant_set(conn, org, &grant, now)?;
            account::account_granted(conn, org, user, newest.version, now)?;
            let mut event = confirmed_event(Kind::AccountConfirmed, &grant, user);
            event.delta["by_kit"] = true.into();
            core.record(conn, &scope, now, &[event])?;
            after(conn, by, now)
        })
        .await
    }

    /// By key id, and whether there are more. `next`: as if there were a next version.
    pub(crate) async fn members_to_confirm(
        &self,
        by: By,
        after: KeyId,
        next: bool,
    ) -> Result<(Vec<Waiting>, bool), Refusal> {
        let (org, now) = self.shown_by(by).await?;
        self.read(org, move |conn| {
            if let By::Member(shown) = by {
                may_confirm(&unlocked_in(conn, shown, now)?)?;
            }
            let newest = org_key::org_key_newest(conn, org)?.map_or(0, |newest| newest.version);
            let limit = i64::try_from(AT_ONCE).unwrap_or(i64::MAX).saturating_add(1);
            // Before there is a key all who have some wait for it.
            let wanted = newest.max(1).saturating_add(u32::from(next));
            let mut waiting = org_key::waiting(conn, org, wanted, after, limit)?;
            waiting.extend(agent::agents_waiting(conn, org, wanted, after, limit)?);
            waiting.sort_by_key(|waiting| waiting.key.id);
            let more = waiting.len() > AT_ONCE;
            waiting.truncate(AT_ONCE);
            let mut granters: HashMap<KeyId, Option<PublicKey>> = HashMap::new();
            for member in waiting.iter_mut().filter(|member| member.was_confirmed) {
                let grant = org_key::grant_newest(conn, org, member.user)?;
                let Some(grant) = grant.filter(|grant| grant.recipient == member.key.id) else { continue };
                let granter = match granters.entry(grant.granter) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => {
                        let key = account_key::key_get(conn, org, grant.granter)?;
                        // Who is revoked vouches for nobody.
                        let agent = match &key {
                            Some(key) => agent::agent_get(conn, org, AgentId(key.user.0))?,
                            None => None,
                        };
                        free.insert(key.filter(|_| agent.is_none_or(|agent| agent.revoked.is_none())))
                    }
                };
                member.grant = Some(grant).zip(granter.clone());
            }
            Ok((waiting, more))
        })
        .await
    }

    /// Each is taken or refused by itself. `automatic`: nobody looked at them, which the policy has to allow now, not when the
    /// page was opened.
    pub(crate) async fn members_confirm(
        &self,
        by: By,
        request_id: String,
        (grants, automatic): (Vec<Result<MemberGrant, Granted>>, bool),
    ) -> Result<Vec<Granted>, Refusal> {
        let (org, now) = self.shown_by(by).await?;
        let core = self.clone();
        self.write(org, move |conn| {
            let granter = confirming(conn, by, &request_id, now)?;
            let granter = Granter { unattended: granter.unattended || automatic, ..granter };
            if automatic && granter.agent.is_none() && !account::account_policy(conn, org)?.confirm_automatically {
                let message = "Your organization does not have members confirmed automatically any more. Select them and confirm \
                               them by hand, or have an owner switch it on in the console under Accounts.";
                return Err(Refused::Refused(not_confirming(message)));
            }
            let newest = newest_of(conn, org, &granter)?;
            // In one order, whoever else confirms the same.
            let mut order: Vec<usize> = (0..grants.len()).collect();
            order.sort_by_key(|at| grants.get(*at).and_then(|grant| grant.as_ref().ok()).map(|grant| grant.user));
            let mut outcomes: Vec<Granted> = vec![(String::new(), None); grants.len()];
            let mut events = Vec::new();
            for at in order {
                let Some(grant) = grants.get(at) else { continue };
                let outcome = match grant {
                    Err(wrong) => wrong.clone(),
                    Ok(grant) => {
                        let why = grant_one(conn, (org, newest.version), grant, &granter, &mut events, now)?;
                        (grant.user.to_string(), why)
                    }
                };
                if let Some(place) = outcomes.get_mut(at) {
                    *place = outcome;
                }
            }
            core.record(conn, &granter.scope, now, &events)?;
            Ok(outcomes)
        })
        .await
    }
}

/// Whom something is granted to.
struct Recipient {
    key: PublicKey,
    granted: u32,
    active: bool,
    agent: Option<AgentId>,
}

/// Nobody deletes, revokes or changes it until the transaction ends: who loses the key has it rotated.
fn recipient_lock(conn: &mut AnyConnection, org: OrgId, id: UserId) -> Result<Option<Recipient>, Error> {
    if user::user_lock(conn, org, id, Lock::Refer)?.is_none() {
        let found = agent::agent_lock(conn, org, AgentId(id.0))?;
        let found = found.filter(|agent| agent.state() != AgentState::Revoked);
        let of = |Agent { id, key, granted, .. }| Some(Recipient { key: key?, granted, active: true, agent: Some(id) });
        return Ok(found.and_then(of));
    }
    let Some(account) = account::account_lock(conn, org, id)? else { return Ok(None) };
    let Some(Member { presence, key: Some(key), .. }) = account::member_get(conn, org, id)? else { return Ok(None) };
    Ok(Some(Recipient { key, granted: account.granted, active: presence == Presence::Active, agent: None }))
}

/// Why it is not taken.
fn grant_one(
    conn: &mut AnyConnection,
    (org, newest): (OrgId, u32),
    grant: &MemberGrant,
    granter: &Granter,
    events: &mut Vec<NewEvent>,
    now: Instant,
) -> Result<Option<String>, Refused> {
    let Some(recipient) = recipient_lock(conn, org, grant.user)? else {
        return Ok(Some("Nobody with this id waits in the organization.".to_owned()));
    };
    if !recipient.active {
        return Ok(Some("The member is deactivated.".to_owned()));
    }
    if grant.version != newest {
        return Ok(Some(format!("The organization key is of version {newest} by now.")));
    }
    if let Err(refusal) = grant.check(org, &recipient.key, &granter.key) {
        return Ok(Some(refusal.message));
    }
    if recipient.granted == newest {
        return Ok(None);
    }
    // For the first time people look at them. What comes after a rotation is for the keys that they confirmed.
    if granter.unattended
        && recipient.granted == 0
        && (recipient.agent.is_some() || account_session::looked_at(conn, org, grant.user)?)
    {
        let message = match granter.agent {
            Some(_) => {
                "Agents do not confirm administrators of the console or other agents: an administrator does, on the account page."
            }
            None => {
                "Administrators of the console and agents are not confirmed automatically: compare the phrase and select them."
            }
        };
        return Ok(Some(message.to_owned()));
    }
    org_key::grant_set(conn, org, grant, now)?;
    granted_to(conn, org, (grant.user, recipient.agent), newest, now)?;
    // After a rotation all are given the next version: nothing is new about them.
    if recipient.granted == 0 {
        let kind = if recipient.agent.is_some() { Kind::AgentConfirmed } else { Kind::AccountConfirmed };
        events.push(confirmed_event(kind, grant, granter.holder));
    }
    Ok(None)
}

fn granted_to(
    conn: &mut AnyConnection,
    org: OrgId,
    (holder, agent): (UserId, Option<AgentId>),
    version: u32,
    now: Instant,
) -> Result<(), Error> {
    match agent {
        Some(agent) => agent::agent_granted(conn, org, agent, version, now),
        None => account::account_granted(conn, org, holder, version, now),
    }
}

fn confirmed_event(kind: Kind, grant: &MemberGrant, by: UserId) -> NewEvent {
    let delta = json!({
        "version": grant.version,
        "key": grant.recipient.to_string(),
        "by": by.to_string(),
        "by_key": grant.granter.to_string(),
    });
    NewEvent { kind, subject: grant.user.0, delta }
}

/// What the session's user needs of the organization key.
pub(super) fn shown_org_key(
    conn: &mut AnyConnection,
    org: OrgId,
    session: &AccountSession,
) -> Result<ShownOrgKey, Error> {
    let may = May { confirm: session.may_confirm, recover: session.may_confirm };
    org_key_of(conn, org, (session.account.user, session.account.key), may)
}

/// What somebody may do with the organization key, whether it was granted or not.
#[derive(Clone, Copy)]
struct May {
    /// Seals the next version to the organization's kit, once it has one.
    confirm: bool,
    /// Opens the first one with the kit.
    recover: bool,
}

/// What a holder of keys needs of it.
fn org_key_of(
    conn: &mut AnyConnection,
    org: OrgId,
    (holder, key): (UserId, Option<KeyId>),
    may: May,
) -> Result<ShownOrgKey, Error> {
    let Some(newest) = org_key::org_key_newest(conn, org)? else { return Ok(ShownOrgKey::default()) };
    let grant = org_key::grant_newest(conn, org, holder)?;
    let grant = grant.filter(|grant| Some(grant.recipient) == key);
    let granter = match &grant {
        Some(grant) => account_key::key_get(conn, org, grant.granter)?,
        None => None,
    };
    // Without a grant none of it opens but by the organization's kit, which administrators have.
    let chain = if grant.is_some() || may.recover { org_key::chain(conn, org, LINKS)? } else { Vec::new() };
    let with_kit = may.recover || may.confirm && grant.is_some();
    let kit_granter = if with_kit { account_key::key_get(conn, org, newest.made_by_key)? } else { None };
    let mut agent_of = |key: Option<&PublicKey>| match key {
        Some(key) => Ok(agent::agent_get(conn, org, AgentId(key.user.0))?.map(|agent| agent.name)),
        None => Ok::<_, Error>(None),
    };
    let granter_agent = agent_of(granter.as_ref())?;
    let same = granter.as_ref().map(|key| key.user) == kit_granter.as_ref().map(|key| key.user);
    let kit_granter_agent = if same { granter_agent.clone() } else { agent_of(kit_granter.as_ref())? };
    Ok(ShownOrgKey {
        newest: Some(newest),
        grant,
        granter,
        with_kit,
        kit_granter,
        granter_agent,
        kit_granter_agent,
        chain,
    })
}

/// Who it is, if it may make keys and confirm others: in an unlocked session, with keys, and an administrator of the console; or an
/// agent with keys.
fn confirming(conn: &mut AnyConnection, by: By, request_id: &str, now: Instant) -> Result<Granter, Refused> {
    match by {
        By::Member(shown) => {
            let session = unlocked_in(conn, shown, now)?;
            may_confirm(&session)?;
            let account = locked(conn, &session)?;
            let key = account.key.ok_or_else(|| Refused::Refused(no_keys()))?;
            let key = account_key::key_get(conn, session.org, key)?.ok_or_else(|| Refused::Refused(no_keys()))?;
            let granted = if account.stage == Stage::Confirmed { account.granted } else { 0 };
            let scope = member_scope(session.org, account.user, request_id);
            Ok(Granter { holder: account.user, key, granted, scope, agent: None, unattended: false })
        }
        By::Agent(shown) => {
            let agent = agent_in(conn, shown)?;
            let (key, scope) = (agent_keys(&agent)?, agent_scope(&agent, request_id));
            let (holder, granted) = (agent.id.holder(), agent.granted);
            Ok(Granter { holder, key, granted, scope, agent: Some(agent.id), unattended: true })
        }
    }
}

fn may_confirm(session: &AccountSession) -> Result<(), Refused> {
    if session.may_confirm {
        return Ok(());
    }
    let message = "Owners and administrators of the organization's console confirm members. Ask one of them.";
    Err(Refused::Refused(not_confirming(message)))
}

/// The newest version, which the granter has.
fn newest_of(conn: &mut AnyConnection, org: OrgId, granter: &Granter) -> Result<OrgKey, Refused> {
    let newest = org_key::org_key_newest(conn, org)?;
    let newest = newest.ok_or_else(|| Refused::Refused(none_yet()))?;
    if granter.granted != newest.version {
        let message = match granter.agent {
            None => {
                "You have not got the newest organization key yourself. Another confirmed administrator has to confirm you, or \
                 you open it with the organization's emergency kit."
            }
            Some(_) => {
                "This agent has not got the newest organization key. A confirmed administrator confirms it on the account page."
            }
        };
        return Err(Refused::Refused(not_confirming(message)));
    }
    Ok(newest)
}

/// A version as it is stored, if who makes it has signed what it is granted by.
fn made(
    org: OrgId,
    new: &NewOrgKey,
    (version, link): (u32, Option<ChainLink>),
    (kit_pub, kit_verifier): ([u8; 32], Option<[u8; 32]>),
    key: &PublicKey,
) -> Result<OrgKey, Refusal> {
    if new.grant.version != version {
        return Err(wrong("The grant is not of the next version. Begin again."));
    }
    new.grant.check(org, key, key)?;
    let kit = KitSeal { kit_pub, enc: new.kit_enc, ciphertext: new.kit_ciphertext, signature: new.kit_signature };
    kit.check(org, version, key)?;
    Ok(OrgKey { version, made_by: key.user, made_by_key: key.id, link, kit, kit_verifier, rotation_due: None })
}

/// As it stands, for whoever shows this.
fn after(conn: &mut AnyConnection, by: By, now: Instant) -> Result<ShownOrgKey, Refused> {
    match by {
        By::Member(shown) => {
            let session = unlocked_in(conn, shown, now)?;
            Ok(shown_org_key(conn, session.org, &session)?)
        }
        By::Agent(shown) => {
            let agent = agent_shown_in(conn, shown)?;
            let key = agent_keys(&agent)?.id;
            let may = May { confirm: true, recover: false };
            Ok(org_key_of(conn, agent.org, (agent.id.holder(), Some(key)), may)?)
        }
    }
}

fn none_yet() -> Refusal {
    account_state("The organization has no key yet. Make it first.")
}

fn has_one() -> Refusal {
    account_state("The organization has a key. Ask a confirmed administrator to confirm you.")
}

fn wrong(message: &str) -> Refusal {
    Refusal::new(Reason::KeyInvalid, message)
}

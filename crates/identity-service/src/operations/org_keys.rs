//! The organization key: made, rotated and granted by members' browsers. The service sees that who grants may, and that what
//! it grants is for the keys that a member has.

use std::collections::{HashMap, hash_map::Entry};

use ::store::{AnyConnection, Error, Instant};
use account_keys::{RecoveryProof, RecoveryVerifier};
use serde_json::json;
use wire::{Reason, Refusal};

use super::{
    Core,
    account_keys::{locked, no_keys},
    accounts::{member_scope, unlocked_in},
    contended,
};
use crate::{
    domain::{
        OrgId, UserId,
        account::{Account, AccountSession, KeyId, Member, Presence, PublicKey, Stage, account_state},
        event::{Kind, NewEvent},
        keys::{ChainLink, KitSeal, MemberGrant, OrgKey, ShownOrgKey, Waiting, not_confirming},
        secret::Hash,
    },
    error::Refused,
    store::{account, account_key, org_key, statement::Lock, user},
};

/// Links of one answer.
const LINKS: i64 = 100;
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

impl Core {
    /// As whoever asks needs it.
    pub(crate) async fn org_key_get(&self, shown: Hash) -> Result<ShownOrgKey, Refusal> {
        let (session, now) = self.account_session(shown).await?;
        let org = session.org;
        self.snapshot(org, move |conn| {
            let session = unlocked_in(conn, shown, now)?;
            Ok(shown_org_key(conn, org, &session)?)
        })
        .await
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
            let (account, key) = confirming(conn, shown, now)?;
            if org_key::org_key_newest(conn, org)?.is_some() {
                return Err(Refused::Refused(has_one()));
            }
            let kit = (new.kit_pub.unwrap_or_default(), new.kit_verifier);
            let made = made(org, &new, (1, None), kit, &key).map_err(Refused::Refused)?;
            if !org_key::org_key_insert(conn, org, &made, now)? {
                return Err(Refused::Refused(has_one()));
            }
            let user = account.user;
            org_key::grant_set(conn, org, &new.grant, now)?;
            account::account_granted(conn, org, user, 1, now)?;
            let events = [
                NewEvent {
                    kind: Kind::OrganizationKeyCreated,
                    subject: org.0,
                    delta: json!({ "version": 1, "by": user.to_string(), "by_key": key.id.to_string() }),
                },
                confirmed_event(user, &new.grant, user),
            ];
            core.record(conn, &member_scope(org, user, &request_id), now, &events)?;
            after(conn, shown, now)
        })
        .await
    }

    pub(crate) async fn org_key_rotate(
        &self,
        shown: Hash,
        request_id: String,
        new: NewOrgKey,
    ) -> Result<ShownOrgKey, Refusal> {
        let (session, now) = self.account_session(shown).await?;
        let (core, org) = (self.clone(), session.org);
        self.write(org, move |conn| {
            let (account, key) = confirming(conn, shown, now)?;
            let newest = newest_of(conn, org, &account)?;
            let version = newest.version.saturating_add(1);
            if new.grant.version <= newest.version {
                return Err(contended());
            }
            let link = new.link.clone().filter(|(of, _)| *of == version).map(|(_, link)| link);
            let Some(link) = link else {
                return Err(Refused::Refused(wrong("The link is not of the next version. Begin again.")));
            };
            let kit = match new.kit_pub.filter(|kit_pub| *kit_pub != newest.kit.kit_pub) {
                Some(_) if new.kit_verifier.is_none() => {
                    return Err(Refused::Refused(wrong("A new kit comes with the hash of its proof, kit_sha256.")));
                }
                Some(another) => (another, new.kit_verifier),
                None => (newest.kit.kit_pub, newest.kit_verifier),
            };
            let made = made(org, &new, (version, Some(link)), kit, &key).map_err(Refused::Refused)?;
            if !org_key::org_key_insert(conn, org, &made, now)? {
                return Err(contended());
            }
            let user = account.user;
            org_key::grant_set(conn, org, &new.grant, now)?;
            account::account_granted(conn, org, user, version, now)?;
            let delta = json!({
                "version": version,
                "by": user.to_string(),
                "by_key": key.id.to_string(),
                "was_due": newest.rotation_due.is_some(),
            });
            let event = NewEvent { kind: Kind::OrganizationKeyRotated, subject: org.0, delta };
            core.record(conn, &member_scope(org, user, &request_id), now, &[event])?;
            after(conn, shown, now)
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
            let (account, key) = confirming(conn, shown, now)?;
            let newest = org_key::org_key_newest(conn, org)?;
            let newest = newest.ok_or_else(|| Refused::Refused(none_yet()))?;
            let user = account.user;
            if account.granted == newest.version {
                return after(conn, shown, now);
            }
            let Some(verifier) = newest.kit_verifier else {
                let message = "The organization's kit is from an earlier version of this server and cannot be shown to it. Have \
                               a confirmed administrator make a new organization key, and a kit with it.";
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
            let mut event = confirmed_event(user, &grant, user);
            event.delta["by_kit"] = true.into();
            core.record(conn, &member_scope(org, user, &request_id), now, &[event])?;
            after(conn, shown, now)
        })
        .await
    }

    /// By key id, and whether there are more.
    pub(crate) async fn members_to_confirm(&self, shown: Hash, after: KeyId) -> Result<(Vec<Waiting>, bool), Refusal> {
        let (session, now) = self.account_session(shown).await?;
        let org = session.org;
        self.read(org, move |conn| {
            let session = unlocked_in(conn, shown, now)?;
            may_confirm(&session)?;
            let newest = org_key::org_key_newest(conn, org)?.map_or(0, |newest| newest.version);
            let limit = i64::try_from(AT_ONCE).unwrap_or(i64::MAX).saturating_add(1);
            // Before there is a key all who have some wait for it.
            let mut waiting = org_key::waiting(conn, org, newest.max(1), after, limit)?;
            let more = waiting.len() > AT_ONCE;
            waiting.truncate(AT_ONCE);
            let mut granters: HashMap<KeyId, Option<PublicKey>> = HashMap::new();
            for member in waiting.iter_mut().filter(|member| member.was_confirmed) {
                let grant = org_key::grant_newest(conn, org, member.user)?;
                let Some(grant) = grant.filter(|grant| grant.recipient == member.key.id) else { continue };
                let granter = match granters.entry(grant.granter) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => free.insert(account_key::key_get(conn, org, grant.granter)?),
                };
                member.grant = Some(grant).zip(granter.clone());
            }
            Ok((waiting, more))
        })
        .await
    }

    /// Each is taken or refused by itself.
    pub(crate) async fn members_confirm(
        &self,
        shown: Hash,
        request_id: String,
        grants: Vec<Result<MemberGrant, Granted>>,
    ) -> Result<Vec<Granted>, Refusal> {
        let (session, now) = self.account_session(shown).await?;
        let (core, org) = (self.clone(), session.org);
        self.write(org, move |conn| {
            let (granter, key) = confirming(conn, shown, now)?;
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
                        let why = grant_one(conn, (org, newest.version), grant, (&granter, &key), &mut events, now)?;
                        (grant.user.to_string(), why)
                    }
                };
                if let Some(place) = outcomes.get_mut(at) {
                    *place = outcome;
                }
            }
            core.record(conn, &member_scope(org, granter.user, &request_id), now, &events)?;
            Ok(outcomes)
        })
        .await
    }
}

/// Why it is not taken.
fn grant_one(
    conn: &mut AnyConnection,
    (org, newest): (OrgId, u32),
    grant: &MemberGrant,
    (granter, granter_key): (&Account, &PublicKey),
    events: &mut Vec<NewEvent>,
    now: Instant,
) -> Result<Option<String>, Refused> {
    const NOBODY: &str = "Nobody with this id waits in the organization.";
    // Nobody deletes it meanwhile: who is deleted with the key has it rotated.
    if user::user_lock(conn, org, grant.user, Lock::Refer)?.is_none() {
        return Ok(Some(NOBODY.to_owned()));
    }
    let Some(account) = account::account_lock(conn, org, grant.user)? else { return Ok(Some(NOBODY.to_owned())) };
    let member = account::member_get(conn, org, grant.user)?;
    let Some(Member { presence, key: Some(key), .. }) = member else { return Ok(Some(NOBODY.to_owned())) };
    if presence != Presence::Active {
        return Ok(Some("The member is deactivated.".to_owned()));
    }
    if grant.version != newest {
        return Ok(Some(format!("The organization key is of version {newest} by now.")));
    }
    if let Err(refusal) = grant.check(org, &key, granter_key) {
        return Ok(Some(refusal.message));
    }
    if account.granted == newest {
        return Ok(None);
    }
    org_key::grant_set(conn, org, grant, now)?;
    account::account_granted(conn, org, grant.user, newest, now)?;
    // After a rotation all are given the next version: nothing is new about them.
    if account.stage != Stage::Confirmed {
        events.push(confirmed_event(grant.user, grant, granter.user));
    }
    Ok(None)
}

fn confirmed_event(user: UserId, grant: &MemberGrant, by: UserId) -> NewEvent {
    let delta = json!({
        "version": grant.version,
        "key": grant.recipient.to_string(),
        "by": by.to_string(),
        "by_key": grant.granter.to_string(),
    });
    NewEvent { kind: Kind::AccountConfirmed, subject: user.0, delta }
}

/// What the session's user needs of the organization key.
pub(super) fn shown_org_key(
    conn: &mut AnyConnection,
    org: OrgId,
    session: &AccountSession,
) -> Result<ShownOrgKey, Error> {
    let Some(newest) = org_key::org_key_newest(conn, org)? else { return Ok(ShownOrgKey::default()) };
    let grant = org_key::grant_newest(conn, org, session.account.user)?;
    let grant = grant.filter(|grant| Some(grant.recipient) == session.account.key);
    let granter = match &grant {
        Some(grant) => account_key::key_get(conn, org, grant.granter)?,
        None => None,
    };
    // Without a grant none of it opens but by the organization's kit, which administrators have.
    let chain = if grant.is_some() || session.may_confirm { org_key::chain(conn, org, LINKS)? } else { Vec::new() };
    let kit_granter = account_key::key_get(conn, org, newest.made_by_key)?;
    Ok(ShownOrgKey { newest: Some(newest), grant, granter, kit_granter, chain })
}

/// Who shows the session, if it may make keys and confirm others: unlocked, with keys, and an administrator of the console.
fn confirming(conn: &mut AnyConnection, shown: Hash, now: Instant) -> Result<(Account, PublicKey), Refused> {
    let session = unlocked_in(conn, shown, now)?;
    may_confirm(&session)?;
    let account = locked(conn, &session)?;
    let key = account.key.ok_or_else(|| Refused::Refused(no_keys()))?;
    let key = account_key::key_get(conn, session.org, key)?.ok_or_else(|| Refused::Refused(no_keys()))?;
    Ok((account, key))
}

fn may_confirm(session: &AccountSession) -> Result<(), Refused> {
    if session.may_confirm {
        return Ok(());
    }
    let message = "Owners and administrators of the organization's console confirm members. Ask one of them.";
    Err(Refused::Refused(not_confirming(message)))
}

/// The newest version, which this account has.
fn newest_of(conn: &mut AnyConnection, org: OrgId, account: &Account) -> Result<OrgKey, Refused> {
    let newest = org_key::org_key_newest(conn, org)?;
    let newest = newest.ok_or_else(|| Refused::Refused(none_yet()))?;
    if account.stage != Stage::Confirmed || account.granted != newest.version {
        let message = "You have not got the newest organization key yourself. Another confirmed administrator has to confirm you, \
                       or you open it with the organization's emergency kit.";
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

/// As it stands after what was done.
fn after(conn: &mut AnyConnection, shown: Hash, now: Instant) -> Result<ShownOrgKey, Refused> {
    let session = unlocked_in(conn, shown, now)?;
    Ok(shown_org_key(conn, session.org, &session)?)
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

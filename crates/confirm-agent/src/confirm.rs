//! Whom to grant to, who is vouched for, and when to rotate. No IO.

use std::collections::{HashMap, HashSet};

use account_keys::{
    AccountKey, ChainLink, Fill, Grant, GrantOf, Member, MemberKeys, OrganizationKey, Possession, PublicKeys, Recipient,
};
use uuid::Uuid;

/// Somebody, or an agent, by one of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Holder {
    pub(crate) user: Uuid,
    pub(crate) key_id: Uuid,
    pub(crate) public: PublicKeys,
}

impl Holder {
    pub(crate) fn recipient(&self) -> Recipient {
        Recipient::Member { user: self.user, key_id: self.key_id, public: self.public }
    }
}

/// What somebody was given, and by whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    pub(crate) version: u32,
    pub(crate) grant: Grant,
    pub(crate) granter: Holder,
}

/// Who waits for the organization key.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) holder: Holder,
    pub(crate) key_version: u32,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) possession: Possession,
    pub(crate) challenge: [u8; 32],
    pub(crate) was_confirmed: bool,
    pub(crate) administrator: bool,
    pub(crate) agent: bool,
    pub(crate) granted: Option<Granted>,
}

/// Why somebody is not granted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// This agent.
    Itself,
    Possession,
    Administrator,
    Agent,
    Domain,
    NotVouchedFor,
}

impl Left {
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Itself => "is this agent",
            Self::Possession => "has public keys without a good proof that they are its own: look at the server",
            Self::Administrator => "is an administrator of the console, whom another one confirms on the account page",
            Self::Agent => "is an agent, which an administrator confirms on the account page",
            Self::Domain => "has no e-mail address of a domain that this agent confirms",
            Self::NotVouchedFor => {
                "had the organization key from somebody whom this agent does not know: an administrator confirms it on the account page"
            }
        }
    }
}

/// Holders whose keys this agent vouches for, and those whom one of them granted to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(HashSet<Holder>);

impl Known {
    pub(crate) fn of(holders: impl IntoIterator<Item = Holder>) -> Self {
        Self(holders.into_iter().collect())
    }

    pub(crate) fn has(&self, holder: &Holder) -> bool {
        self.0.contains(holder)
    }

    /// Whomever one of those granted to, whom these granted to, and so on. That somebody granted to itself says nothing.
    pub(crate) fn follow(&mut self, organization: Uuid, candidates: &[Candidate]) {
        let mut given: HashMap<Holder, Vec<Holder>> = HashMap::new();
        for Candidate { holder, granted, .. } in candidates {
            let Some(Granted { version, grant, granter }) = granted else { continue };
            let of = GrantOf {
                organization,
                version: *version,
                recipient: holder.recipient(),
                granter_key_id: granter.key_id,
            };
            if granter != holder && grant.verify(&of, &granter.public.sig).is_ok() {
                given.entry(*granter).or_default().push(*holder);
            }
        }
        let mut next: Vec<Holder> = self.0.iter().copied().collect();
        while let Some(granter) = next.pop() {
            for holder in given.remove(&granter).unwrap_or_default() {
                if self.0.insert(holder) {
                    next.push(holder);
                }
            }
        }
    }
}

/// The agent's own.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) organization: Uuid,
    pub(crate) key: AccountKey,
    pub(crate) keys: MemberKeys,
}

impl Own {
    pub(crate) fn holder(&self) -> Holder {
        Holder { user: self.key.member.user, key_id: self.key.key_id, public: self.keys.public() }
    }

    /// Opens what was granted to it, after the granter's signature has verified.
    pub(crate) fn open(&self, granted: &Granted) -> account_keys::Result<OrganizationKey> {
        let of = self.grant_of(granted.version, self.holder().recipient(), granted.granter.key_id);
        granted.grant.open(&of, self.keys.opening(), &granted.granter.public.sig)
    }

    /// For one holder.
    pub(crate) fn seal(
        &self,
        key: &OrganizationKey,
        version: u32,
        recipient: Recipient,
        random: &mut Fill<'_>,
    ) -> account_keys::Result<Grant> {
        Grant::seal(&self.grant_of(version, recipient, self.key.key_id), key, &self.keys, random)
    }

    fn grant_of(&self, version: u32, recipient: Recipient, granter_key_id: Uuid) -> GrantOf {
        GrantOf { organization: self.organization, version, recipient, granter_key_id }
    }

    /// Whether this one is granted to.
    pub(crate) fn decide(&self, candidate: &Candidate, known: &Known, domains: &[String]) -> Result<(), Left> {
        let Candidate { holder, .. } = candidate;
        if holder.user == self.key.member.user {
            return Err(Left::Itself);
        }
        if !self.proven(candidate) {
            return Err(Left::Possession);
        }
        if candidate.was_confirmed {
            // The next version is for the keys that somebody has confirmed, whosever they are.
            return if known.has(holder) { Ok(()) } else { Err(Left::NotVouchedFor) };
        }
        if candidate.agent {
            return Err(Left::Agent);
        }
        if candidate.administrator {
            return Err(Left::Administrator);
        }
        if domains.is_empty() || domains.iter().any(|domain| is_of(&candidate.email, domain)) {
            return Ok(());
        }
        Err(Left::Domain)
    }

    fn proven(&self, candidate: &Candidate) -> bool {
        let Candidate { holder, key_version, possession, challenge, .. } = candidate;
        let member = Member { organization: self.organization, user: holder.user };
        let of = AccountKey { member, key_id: holder.key_id, version: *key_version };
        possession.verify(&of, &holder.public, challenge).is_ok()
    }

    /// Whether it may make the next version. `all`: who would wait for that one, with `known` followed through them.
    ///
    /// # Errors
    /// Why an administrator does it.
    pub(crate) fn may_rotate(&self, kit: &KitGranted, all: &[Candidate], known: &Known) -> Result<(), &'static str> {
        let Granted { version, grant, granter } = &kit.granted;
        let of = self.grant_of(*version, Recipient::Kit { enc: kit.public_key }, granter.key_id);
        if grant.verify(&of, &granter.public.sig).is_err() || !known.has(granter) {
            return Err("nobody whom this agent knows vouches for the public key of the organization's emergency kit");
        }
        let gets_it = |candidate: &&Candidate| candidate.administrator && self.decide(candidate, known, &[]).is_ok();
        if !all.iter().any(|candidate| gets_it(&candidate)) {
            return Err(
                "it could give the new key to no administrator: none got the present one from somebody whom it knows",
            );
        }
        Ok(())
    }

    /// The next version.
    pub(crate) fn rotate(
        &self,
        version: u32,
        before: &OrganizationKey,
        kit: [u8; 32],
        random: &mut Fill<'_>,
    ) -> account_keys::Result<Rotated> {
        let (version, key) = (version.saturating_add(1), OrganizationKey::generate(random));
        Ok(Rotated {
            version,
            link: ChainLink::seal(self.organization, version, &key, before, random)?,
            grant: self.seal(&key, version, self.holder().recipient(), random)?,
            kit: self.seal(&key, version, Recipient::Kit { enc: kit }, random)?,
            key,
        })
    }
}

/// What the organization's kit has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KitGranted {
    pub(crate) public_key: [u8; 32],
    pub(crate) granted: Granted,
}

/// A version that was made, for the server but for the key itself.
pub(crate) struct Rotated {
    pub(crate) version: u32,
    pub(crate) key: OrganizationKey,
    pub(crate) link: ChainLink,
    pub(crate) grant: Grant,
    pub(crate) kit: Grant,
}

/// The domain alone, not one below it.
fn is_of(email: &str, domain: &str) -> bool {
    email.rsplit_once('@').is_some_and(|(name, of)| !name.is_empty() && of.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use account_keys::AccountSecret;

    use super::*;

    const ORG: Uuid = Uuid::from_u128(1);

    /// A different one each time it is asked.
    fn random() -> impl FnMut(&mut [u8]) {
        let mut n = 0_u8;
        move |bytes: &mut [u8]| {
            n = n.wrapping_add(1);
            bytes.fill(n);
        }
    }

    fn own(n: u8) -> Own {
        let member = Member { organization: ORG, user: Uuid::from_u128(u128::from(n)) };
        let key = AccountKey { member, key_id: Uuid::from_u128(100 + u128::from(n)), version: 1 };
        Own { organization: ORG, key, keys: MemberKeys::derive(&AccountSecret::from_bytes([n; 32])) }
    }

    fn waiting(of: &Own) -> Candidate {
        let challenge = [7; 32];
        Candidate {
            holder: of.holder(),
            key_version: 1,
            name: "kit".to_owned(),
            email: "kit@acme.example".to_owned(),
            possession: Possession::make(&of.key, &of.keys, &challenge),
            challenge,
            was_confirmed: false,
            administrator: false,
            agent: false,
            granted: None,
        }
    }

    fn granted(by: &Own, to: &Own, version: u32) -> Granted {
        let key = OrganizationKey::from_bytes([9; 32]);
        let grant = by.seal(&key, version, to.holder().recipient(), &mut random()).expect("sealed");
        Granted { version, grant, granter: by.holder() }
    }

    fn had(by: &Own, of: &Own) -> Candidate {
        Candidate { was_confirmed: true, granted: Some(granted(by, of, 1)), ..waiting(of) }
    }

    #[test]
    fn plain_members_with_a_proof_are_granted_to_and_nobody_else() {
        let (agent, kit) = (own(1), own(2));
        let known = Known::of([agent.holder()]);
        let decide = |candidate: &Candidate, domains: &[&str]| {
            let domains: Vec<String> = domains.iter().map(|domain| (*domain).to_owned()).collect();
            agent.decide(candidate, &known, &domains)
        };
        let plain = waiting(&kit);
        assert_eq!(decide(&plain, &[]), Ok(()));
        assert_eq!(decide(&plain, &["other.example", "ACME.example"]), Ok(()));
        for not in ["other.example", "example", "sub.acme.example", ""] {
            assert_eq!(decide(&plain, &[not]), Err(Left::Domain), "{not}");
        }
        assert_eq!(decide(&Candidate { email: String::new(), ..plain.clone() }, &["acme.example"]), Err(Left::Domain));
        assert_eq!(decide(&Candidate { administrator: true, ..plain.clone() }, &[]), Err(Left::Administrator));
        assert_eq!(decide(&Candidate { agent: true, ..plain.clone() }, &[]), Err(Left::Agent));
        assert_eq!(decide(&waiting(&agent), &[]), Err(Left::Itself));
        let mut swapped = plain.clone();
        swapped.holder.public.enc = own(3).keys.public().enc;
        let other_user = Holder { user: Uuid::from_u128(9), ..plain.holder };
        let other_key = Holder { key_id: Uuid::from_u128(9), ..plain.holder };
        for wrong in [
            swapped,
            Candidate { challenge: [8; 32], ..plain.clone() },
            Candidate { key_version: 2, ..plain.clone() },
            Candidate { holder: other_user, ..plain.clone() },
            Candidate { holder: other_key, ..plain.clone() },
        ] {
            assert_eq!(decide(&wrong, &[]), Err(Left::Possession));
        }
    }

    #[test]
    fn who_had_it_gets_the_next_one_only_by_a_chain_of_grants_from_somebody_known() {
        let (agent, owner, admin, kit, eve) = (own(1), own(2), own(3), own(4), own(5));
        let all = [had(&admin, &kit), had(&owner, &admin), had(&eve, &eve), had(&owner, &owner)];
        let mut known = Known::of([agent.holder(), owner.holder()]);
        known.follow(ORG, &all);
        for one in [&owner, &admin, &kit] {
            assert!(known.has(&one.holder()), "{one:?}");
        }
        assert!(!known.has(&eve.holder()), "by herself alone");
        assert_eq!(agent.decide(&all[0], &known, &["other.example".to_owned()]), Ok(()), "it was confirmed before");
        let administrator = Candidate { administrator: true, ..all[1].clone() };
        assert_eq!(agent.decide(&administrator, &known, &[]), Ok(()), "the next version, for the same keys");
        assert_eq!(agent.decide(&all[2], &known, &[]), Err(Left::NotVouchedFor));
        // Other keys than those that were granted to, though with a good proof.
        let swapped = Candidate { holder: own(6).holder(), ..had(&admin, &kit) };
        let replaced = Candidate { holder: Holder { user: all[0].holder.user, ..swapped.holder }, ..swapped };
        let mut known = Known::of([agent.holder(), owner.holder()]);
        known.follow(ORG, &[replaced.clone(), administrator]);
        assert!(!known.has(&replaced.holder));
        // Of another organization, and another version than was signed.
        let mut known = Known::of([owner.holder()]);
        known.follow(Uuid::from_u128(9), &all);
        let mut late = had(&owner, &kit);
        if let Some(granted) = &mut late.granted {
            granted.version = 2;
        }
        known.follow(ORG, &[late]);
        assert!(!known.has(&admin.holder()) && !known.has(&kit.holder()));
    }

    #[test]
    fn a_next_version_is_made_only_for_a_known_kit_and_an_administrator_who_gets_it() {
        let (agent, owner, eve) = (own(1), own(2), own(3));
        let kit_pub = own(7).keys.public().enc;
        let key = OrganizationKey::from_bytes([9; 32]);
        let kit_by = |by: &Own| KitGranted {
            public_key: kit_pub,
            granted: Granted {
                version: 1,
                grant: by.seal(&key, 1, Recipient::Kit { enc: kit_pub }, &mut random()).expect("sealed"),
                granter: by.holder(),
            },
        };
        let known = Known::of([agent.holder(), owner.holder()]);
        let all = [Candidate { administrator: true, ..had(&owner, &owner) }];
        assert_eq!(agent.may_rotate(&kit_by(&owner), &all, &known), Ok(()));
        assert!(agent.may_rotate(&kit_by(&eve), &all, &known).expect_err("unknown").contains("emergency kit"));
        let swapped = KitGranted { public_key: eve.keys.public().enc, ..kit_by(&owner) };
        assert!(agent.may_rotate(&swapped, &all, &known).is_err(), "another kit");
        let plain = [had(&owner, &owner)];
        assert!(agent.may_rotate(&kit_by(&owner), &plain, &known).expect_err("nobody").contains("administrator"));

        let made = agent.rotate(1, &key, kit_pub, &mut random()).expect("made");
        assert_eq!((made.version, made.key == key), (2, false));
        assert!(made.link.open(ORG, 2, &made.key).expect("opened") == key);
        let to_itself = Granted { version: 2, grant: made.grant, granter: agent.holder() };
        assert!(agent.open(&to_itself).expect("opened") == made.key);
        let of = agent.grant_of(2, Recipient::Kit { enc: kit_pub }, agent.key.key_id);
        assert!(made.kit.open(&of, own(7).keys.opening(), &agent.keys.public().sig).expect("opened") == made.key);
    }

    #[test]
    fn what_was_granted_opens_only_as_its_granter_signed_it() {
        let (agent, owner) = (own(1), own(2));
        let given = granted(&owner, &agent, 1);
        assert!(agent.open(&given).expect("opened") == OrganizationKey::from_bytes([9; 32]));
        let by_other = Granted { granter: own(3).holder(), ..given };
        assert!(agent.open(&by_other).is_err());
        assert!(agent.open(&Granted { version: 2, ..given }).is_err());
        assert!(own(3).open(&given).is_err());
    }
}

//! Agents that confirm members: made by an administrator, enrolled by themselves, confirmed once, and what they may then.

use account_keys::{AccountKey, AccountSecret, KitSecret, Member, OrganizationKey, OrganizationKitSecret, Possession};
use serde_json::json;
use tonic::Status;
use wire::{
    Reason,
    identity::{self as proto, AccountState, AdminRole, ConfirmAgentState},
};

use crate::{
    accounts_client::{
        Made, PASSWORD, Ready, Signed, fill, granted, opened, opened_by_kit, own, previous, rotation, uuid,
    },
    admins::sha256,
    world::{World, administrator, client, on_both, reason, refused},
};

impl World {
    pub(crate) async fn agent_create(&self, org: &str, name: &str) -> Result<proto::NewConfirmAgent, Status> {
        let request = proto::CreateConfirmAgentRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            name: name.to_owned(),
        };
        Ok(self.accounts.clone().create_confirm_agent(request).await?.into_inner())
    }

    async fn agent_revoke(&self, org: &str, id: &str) -> Result<proto::ConfirmAgent, Status> {
        let request = proto::RevokeConfirmAgentRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            id: id.to_owned(),
        };
        Ok(self.accounts.clone().revoke_confirm_agent(request).await?.into_inner())
    }

    async fn agents(&self, org: &str) -> Vec<proto::ConfirmAgent> {
        let request = proto::ListConfirmAgentsRequest { organization_id: org.to_owned() };
        self.accounts.clone().list_confirm_agents(request).await.expect("listed").into_inner().agents
    }

    async fn agent_self(&self, secret: &str) -> Result<proto::EnrolledConfirmAgent, Status> {
        Ok(self.accounts.clone().get_confirm_agent(shown(secret)).await?.into_inner())
    }

    async fn agent_enroll(
        &self,
        request: proto::EnrollConfirmAgentRequest,
    ) -> Result<proto::EnrolledConfirmAgent, Status> {
        Ok(self.accounts.clone().enroll_confirm_agent(request).await?.into_inner())
    }

    /// One that has keys. As its user it has its own id, as its session its credential.
    pub(crate) async fn agent_ready(&self, org: &str, name: &str) -> Ready {
        let made = self.agent_create(org, name).await.expect("created");
        let (request, ready) = self.enrolling(&made.secret).await;
        self.agent_enroll(request).await.expect("enrolled");
        ready
    }

    async fn enrolling(&self, secret: &str) -> (proto::EnrollConfirmAgentRequest, Ready) {
        let found = self.agent_self(secret).await.expect("known");
        let agent = found.agent.expect("an agent");
        let member = Member { organization: uuid(&agent.organization_id), user: uuid(&agent.id) };
        let of = AccountKey { member, key_id: uuid(&found.key_id), version: found.version };
        let made = Made { of, secret: AccountSecret::generate(&mut fill), kit: KitSecret::generate(&mut fill) };
        let public = made.keys().public();
        let challenge = found.challenge[..].try_into().expect("32 bytes");
        let request = proto::EnrollConfirmAgentRequest {
            secret_sha256: sha256(secret).into(),
            request_id: "req-a".to_owned(),
            key_id: found.key_id,
            enc_pub: public.enc.to_vec().into(),
            sig_pub: public.sig.to_vec().into(),
            proof_of_possession: Possession::make(&of, &made.keys(), &challenge).0.to_vec().into(),
        };
        let signed = Signed { org: agent.organization_id, user: agent.id, secret: secret.to_owned() };
        (request, Ready { signed, made })
    }

    /// And was given the organization key by this one.
    async fn agent_confirmed(&self, org: &str, owner: &Ready, key: &OrganizationKey, version: u32) -> Ready {
        let agent = self.agent_ready(org, "cellar").await;
        let grant = granted(owner, key, version, &agent.signed.user, &own(&agent));
        assert_eq!(self.confirm(&owner.signed, vec![grant]).await.expect("confirmed"), [""]);
        agent
    }

    async fn key_as_agent(&self, agent: &Ready) -> Result<proto::OrganizationKey, Status> {
        let request = shown(&agent.signed.secret);
        Ok(self.accounts.clone().get_organization_key_as_agent(request).await?.into_inner())
    }

    async fn waiting_as_agent(&self, agent: &Ready, next: bool) -> Result<Vec<proto::UnconfirmedMember>, Status> {
        let request = proto::ListMembersToConfirmAsAgentRequest {
            secret_sha256: agent.signed.hash().into(),
            request_id: "req-a".to_owned(),
            after: String::new(),
            of_next_version: next,
        };
        Ok(self.accounts.clone().list_members_to_confirm_as_agent(request).await?.into_inner().members)
    }

    async fn confirm_as_agent(&self, agent: &Ready, grants: Vec<proto::Grant>) -> Result<Vec<String>, Status> {
        let request = proto::ConfirmMembersRequest {
            secret_sha256: agent.signed.hash().into(),
            request_id: "req-a".to_owned(),
            grants,
            automatic: false,
        };
        let confirmed = self.accounts.clone().confirm_members_as_agent(request).await?.into_inner().confirmed;
        Ok(confirmed.into_iter().map(|one| one.refused).collect())
    }

    async fn rotate_as_agent(
        &self,
        request: proto::RotateOrganizationKeyRequest,
    ) -> Result<proto::OrganizationKey, Status> {
        Ok(self.accounts.clone().rotate_organization_key_as_agent(request).await?.into_inner())
    }
}

fn shown(secret: &str) -> proto::ConfirmAgentRequest {
    proto::ConfirmAgentRequest { secret_sha256: sha256(secret).into(), request_id: "req-a".to_owned() }
}

/// From a holder of the key to somebody, for that one's keys.
fn to(by: &Ready, key: &OrganizationKey, version: u32, other: &Ready) -> proto::Grant {
    granted(by, key, version, &other.signed.user, &own(other))
}

#[tokio::test]
async fn an_agent_is_made_enrolls_once_is_confirmed_and_confirms_members() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let (key, _) = world.confirmed(&owner, &[]).await;
        for bad in ["", " ", "a\nb", &"n".repeat(101)] {
            assert_eq!(reason(world.agent_create(&org, bad).await), Reason::InvalidArgument, "{bad}");
        }
        let made = world.agent_create(&org, " cellar ").await.expect("created");
        assert!(made.secret.starts_with("rc_agent_"));
        let agent = made.agent.expect("an agent");
        assert_eq!((&*agent.name, agent.state(), &agent.key), ("cellar", ConfirmAgentState::Created, &None));
        assert_eq!((&*agent.created_by, &agent.last_seen_at), ("ada", &None));
        let rows = format!("{:?}", world.database.rows_of("confirm_agent", &org).expect("rows"));
        assert!(!rows.contains(&made.secret), "the credential is not stored");

        // What it enrolls with has to fit.
        let (whole, cellar) = world.enrolling(&made.secret).await;
        let seen = world.agents(&org).await.remove(0).last_seen_at;
        assert!(seen.is_some(), "it has asked");
        let flipped = |bytes: &[u8]| bytes.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>().into();
        for wrong in [
            proto::EnrollConfirmAgentRequest { proof_of_possession: vec![1; 64].into(), ..whole.clone() },
            proto::EnrollConfirmAgentRequest { enc_pub: flipped(&whole.enc_pub), ..whole.clone() },
            proto::EnrollConfirmAgentRequest { enc_pub: vec![0; 32].into(), ..whole.clone() },
            proto::EnrollConfirmAgentRequest { key_id: owner.made.of.key_id.to_string(), ..whole.clone() },
            proto::EnrollConfirmAgentRequest { key_id: "x".to_owned(), ..whole.clone() },
        ] {
            assert_eq!(reason(world.agent_enroll(wrong).await), Reason::KeyInvalid);
        }
        let short = proto::EnrollConfirmAgentRequest { sig_pub: vec![1; 31].into(), ..whole.clone() };
        assert_eq!(reason(world.agent_enroll(short).await), Reason::InvalidArgument);
        assert_eq!(reason(world.key_as_agent(&cellar).await), Reason::AccountState, "it has no keys yet");
        let enrolled = world.agent_enroll(whole.clone()).await.expect("enrolled");
        assert_eq!((&*enrolled.organization, enrolled.version), ("acme", 1));
        let agent = enrolled.agent.expect("an agent");
        assert_eq!((agent.state(), agent.key), (ConfirmAgentState::Waiting, Some(own(&cellar))));
        world.agent_enroll(whole).await.expect("the same again");
        let (others, _) = world.enrolling(&made.secret).await;
        assert_eq!(reason(world.agent_enroll(others).await), Reason::AccountState, "it has keys");

        // It waits in the administrator's list, and grants nothing before it is confirmed.
        let kit = world.ready(&org, "kit@x").await;
        let listed = world.to_confirm(&owner.signed, "").await.expect("listed").members;
        let waits = listed.iter().find(|member| member.user_id == cellar.signed.user).expect("it waits");
        assert_eq!(
            (waits.agent, waits.administrator, waits.was_confirmed, &*waits.user_name, &waits.key),
            (true, false, false, "cellar", &Some(own(&cellar)))
        );
        let proof = Possession(waits.proof_of_possession[..].try_into().expect("64 bytes"));
        let challenge = waits.challenge[..].try_into().expect("32 bytes");
        proof.verify(&cellar.made.of, &cellar.made.keys().public(), &challenge).expect("proven");
        let shown_key = world.key_as_agent(&cellar).await.expect("shown");
        assert_eq!((shown_key.version, &shown_key.grant, shown_key.chain.len()), (1, &None, 0));
        assert!(shown_key.kit_ciphertext.is_empty() && shown_key.kit_granter.is_none(), "nor what is for the kit");
        let early = world.confirm_as_agent(&cellar, vec![to(&cellar, &key, 1, &kit)]).await;
        assert_eq!(reason(early), Reason::NotConfirming);

        // Confirmed it has the key, and confirms who is accepted.
        let swapped = granted(&owner, &key, 1, &cellar.signed.user, &own(&kit));
        assert!(!world.confirm(&owner.signed, vec![swapped]).await.expect("answered")[0].is_empty(), "other keys");
        let grant = to(&owner, &key, 1, &cellar);
        assert_eq!(world.confirm(&owner.signed, vec![grant.clone(), grant]).await.expect("confirmed"), ["", ""]);
        assert_eq!(world.agents(&org).await[0].state(), ConfirmAgentState::Confirmed);
        let shown_key = world.key_as_agent(&cellar).await.expect("shown");
        assert!(opened(&cellar, &shown_key).expect("opened") == key);
        assert_eq!((shown_key.kit_ciphertext.len(), &shown_key.kit_granter_user_id), (48, &owner.signed.user));
        assert_eq!((&shown_key.granter_user_id, &*shown_key.granter_agent), (&owner.signed.user, ""));
        let waiting = world.waiting_as_agent(&cellar, false).await.expect("listed");
        assert_eq!(waiting.iter().map(|member| &member.user_id).collect::<Vec<_>>(), [&kit.signed.user]);
        assert_eq!(world.confirm_as_agent(&cellar, vec![to(&cellar, &key, 1, &kit)]).await.expect("confirmed"), [""]);
        assert_eq!(world.state(&org, &kit.signed.user).await.0, AccountState::Confirmed);
        let given = world.organization_key(&kit.signed).await.expect("shown");
        assert!(opened(&kit, &given).expect("opened") == key);
        assert_eq!((&given.granter_user_id, &*given.granter_agent), (&cellar.signed.user, "cellar"));
        assert_eq!(world.waiting_as_agent(&cellar, false).await.expect("listed"), []);

        let told = world.told_of(&org, "account.confirmed", 2).await;
        assert_eq!(told[1].2["by"], json!(cellar.signed.user));
        assert_eq!(
            (&told[1].1["kind"], &told[1].1["agent_id"], &told[1].1["name"]),
            (&json!("agent"), &json!(cellar.signed.user), &json!("cellar"))
        );
        for kind in ["agent.created", "agent.enrolled", "agent.confirmed"] {
            let told = world.told_of(&org, kind, 1).await;
            assert_eq!((told.len(), &told[0].0), (1, &cellar.signed.user), "{kind}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_confirms_neither_administrators_nor_agents_nor_who_has_no_access() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let second = world.ready_admin(&org, "bob@x", AdminRole::Admin).await;
        let (key, _) = world.confirmed(&owner, &[]).await;
        let cellar = world.agent_confirmed(&org, &owner, &key, 1).await;
        let (attic, kit, gone) = (
            world.agent_ready(&org, "attic").await,
            world.ready(&org, "kit@x").await,
            world.ready(&org, "gone@x").await,
        );
        world.activate(&org, &kit.signed.user, false).await;
        world.delete(&org, &gone.signed.user).await.expect("delete");
        let theirs = world.linked("other").await;
        let stranger = world.ready(&theirs, "kit@x").await;
        let their_agent = world.agent_ready(&theirs, "cellar").await;

        let listed = world.waiting_as_agent(&cellar, false).await.expect("listed");
        let mut waiting: Vec<_> = listed.iter().map(|one| (&one.user_id, one.administrator, one.agent)).collect();
        waiting.sort();
        let mut wanted = vec![(&second.signed.user, true, false), (&attic.signed.user, false, true)];
        wanted.sort();
        assert_eq!(waiting, wanted, "who is deactivated or deleted is not among them");
        let grants: Vec<proto::Grant> = [&second, &attic, &kit, &gone, &stranger, &their_agent]
            .into_iter()
            .map(|other| to(&cellar, &key, 1, other))
            .collect();
        let refused = world.confirm_as_agent(&cellar, grants).await.expect("answered");
        for (at, word) in
            ["administrators", "administrators", "deactivated", "Nobody", "Nobody", "Nobody"].into_iter().enumerate()
        {
            assert!(refused[at].contains(word), "{at}: {}", refused[at]);
        }
        for (of, ready) in [(&org, &second), (&theirs, &stranger)] {
            assert_eq!(world.state(of, &ready.signed.user).await.0, AccountState::Accepted);
        }
        // By forgetting as whom it signs in an administrator becomes no plain member.
        world.unlink(&org, &second.signed.user).await.expect("unlinked");
        let listed = world.waiting_as_agent(&cellar, false).await.expect("listed");
        assert!(listed.iter().any(|one| one.user_id == second.signed.user && one.administrator));
        let refused = world.confirm_as_agent(&cellar, vec![to(&cellar, &key, 1, &second)]).await.expect("answered");
        assert!(refused[0].contains("administrators"), "{}", refused[0]);
        // A viewer of the console is no administrator.
        let viewer = world.ready_admin(&org, "vi@x", AdminRole::Viewer).await;
        assert_eq!(world.confirm_as_agent(&cellar, vec![to(&cellar, &key, 1, &viewer)]).await.expect("answered"), [""]);
        // A grant that another one signed, or that is of a version to come.
        world.activate(&org, &kit.signed.user, true).await;
        for wrong in [to(&owner, &key, 1, &kit), to(&cellar, &key, 2, &kit)] {
            assert!(!world.confirm_as_agent(&cellar, vec![wrong]).await.expect("answered")[0].is_empty());
        }
        let many = vec![to(&cellar, &key, 1, &kit); 101];
        assert_eq!(reason(world.confirm_as_agent(&cellar, many).await), Reason::InvalidArgument);
        // Nor is a session a credential, or a credential a session.
        assert_eq!(reason(world.agent_self(&owner.signed.secret).await), Reason::AgentInvalid);
        assert_eq!(reason(world.organization_key(&cellar.signed).await), Reason::SessionInvalid);
    })
    .await;
}

#[tokio::test]
async fn a_revoked_agent_is_refused_and_the_key_is_to_be_made_anew() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let (key, org_kit) = world.confirmed(&owner, &[]).await;
        let cellar = world.agent_confirmed(&org, &owner, &key, 1).await;
        let kit = world.ready(&org, "kit@x").await;
        world.confirm_as_agent(&cellar, vec![to(&cellar, &key, 1, &kit)]).await.expect("confirmed");
        let theirs = world.linked("other").await;
        for (of, id) in [(&theirs, &*cellar.signed.user), (&org, "x"), (&org, &*kit.signed.user)] {
            assert_eq!(reason(world.agent_revoke(of, id).await), Reason::AgentNotFound, "{id}");
        }
        let scim = proto::RevokeConfirmAgentRequest {
            organization_id: org.clone(),
            caller: client(),
            id: cellar.signed.user.clone(),
        };
        assert_eq!(reason(world.accounts.clone().revoke_confirm_agent(scim).await), Reason::InvalidArgument);
        assert!(!world.organization_key(&owner.signed).await.expect("shown").rotation_due);

        let revoked = world.agent_revoke(&org, &cellar.signed.user).await.expect("revoked");
        assert_eq!((revoked.state(), revoked.revoked_at.is_some()), (ConfirmAgentState::Revoked, true));
        assert_eq!(world.agent_revoke(&org, &cellar.signed.user).await.expect("again"), revoked);
        assert_eq!(world.told_of(&org, "agent.revoked", 1).await.len(), 1);
        assert_eq!(reason(world.agent_self(&cellar.signed.secret).await), Reason::AgentInvalid);
        assert_eq!(reason(world.key_as_agent(&cellar).await), Reason::AgentInvalid);
        assert_eq!(reason(world.waiting_as_agent(&cellar, false).await), Reason::AgentInvalid);
        assert_eq!(reason(world.confirm_as_agent(&cellar, Vec::new()).await), Reason::AgentInvalid);
        let next = OrganizationKey::generate(&mut fill);
        let rotated = world.rotate_as_agent(rotation(&cellar, &next, &key, 2, &org_kit)).await;
        assert_eq!(reason(rotated), Reason::AgentInvalid);
        assert_eq!(reason(world.agent_self("rc_agent_unknown").await), Reason::AgentInvalid);
        assert!(world.organization_key(&owner.signed).await.expect("shown").rotation_due);
        assert!(world.to_confirm(&owner.signed, "").await.expect("listed").members.is_empty());
        let back = to(&owner, &key, 1, &cellar);
        assert!(world.confirm(&owner.signed, vec![back]).await.expect("answered")[0].contains("Nobody"));
        // Whom it confirmed has the key, and sees from whom.
        let given = world.organization_key(&kit.signed).await.expect("shown");
        assert!(opened(&kit, &given).expect("opened") == key);
        assert_eq!(&*given.granter_agent, "cellar");

        // One that had nothing leaves nothing to be done.
        world.rotate_key(rotation(&owner, &next, &key, 2, &org_kit)).await.expect("rotated");
        let attic = world.agent_ready(&org, "attic").await;
        world.agent_revoke(&org, &attic.signed.user).await.expect("revoked");
        assert!(!world.organization_key(&owner.signed).await.expect("shown").rotation_due);
        let states: Vec<_> = world.agents(&org).await.iter().map(|agent| (agent.name.clone(), agent.state())).collect();
        let revoked = ConfirmAgentState::Revoked;
        assert_eq!(states, [("attic".to_owned(), revoked), ("cellar".to_owned(), revoked)]);
    })
    .await;
}

#[tokio::test]
async fn an_agent_rotates_and_gives_the_next_version_to_all_who_had_the_one_before() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let (kit, gone) = (world.ready(&org, "kit@x").await, world.ready(&org, "gone@x").await);
        let (first, org_kit) = world.confirmed(&owner, &[&kit, &gone]).await;
        let cellar = world.agent_confirmed(&org, &owner, &first, 1).await;
        let attic = world.agent_ready(&org, "attic").await;
        assert_eq!(world.confirm(&owner.signed, vec![to(&owner, &first, 1, &attic)]).await.expect("confirmed"), [""]);
        world.delete(&org, &gone.signed.user).await.expect("delete");
        world.look(&org).await;
        assert!(world.key_as_agent(&cellar).await.expect("shown").rotation_due);

        // Before it rotates it sees who would wait then, and who vouches for them.
        let all = world.waiting_as_agent(&cellar, true).await.expect("listed");
        let mut users: Vec<_> = all.iter().map(|one| (&one.user_id, one.administrator, one.agent)).collect();
        users.sort();
        let mut wanted = vec![
            (&owner.signed.user, true, false),
            (&kit.signed.user, false, false),
            (&cellar.signed.user, false, true),
            (&attic.signed.user, false, true),
        ];
        wanted.sort();
        assert_eq!(users, wanted);
        assert!(all.iter().all(|one| one.was_confirmed && one.granter_user_id == owner.signed.user));

        let next = OrganizationKey::generate(&mut fill);
        let other_kit = OrganizationKitSecret::generate(&mut fill);
        let mut another = rotation(&cellar, &next, &first, 2, &other_kit);
        another.kit_pub = other_kit.opening(uuid(&org)).public().to_vec().into();
        assert_eq!(reason(world.rotate_as_agent(another).await), Reason::NotConfirming, "people are shown a new kit");
        let by_owner = rotation(&owner, &next, &first, 2, &org_kit);
        let mixed = proto::RotateOrganizationKeyRequest { secret_sha256: cellar.signed.hash().into(), ..by_owner };
        assert_eq!(reason(world.rotate_as_agent(mixed).await), Reason::KeyInvalid, "another one's grant");
        let rotated = world.rotate_as_agent(rotation(&cellar, &next, &first, 2, &org_kit)).await.expect("rotated");
        assert_eq!((rotated.version, rotated.rotation_due), (2, false));
        assert!(opened(&cellar, &rotated).expect("opened") == next);
        assert!(opened_by_kit(&org, &org_kit, &rotated) == next);
        assert!(previous(&org, &next, &rotated.chain[0]) == first);
        let told = world.told_of(&org, "organization.key_rotated", 1).await;
        assert_eq!(
            (&told[0].1["name"], &told[0].2["by"], &told[0].2["was_due"]),
            (&json!("cellar"), &json!(cellar.signed.user), &json!(true))
        );

        // The next version for those who had the one before, administrators and agents, too.
        let grants = [&owner, &kit, &attic].map(|other| to(&cellar, &next, 2, other)).to_vec();
        assert_eq!(world.confirm_as_agent(&cellar, grants).await.expect("confirmed"), ["", "", ""]);
        let shown_key = world.organization_key(&owner.signed).await.expect("shown");
        assert!(opened(&owner, &shown_key).expect("opened") == next);
        assert_eq!((&*shown_key.granter_agent, &*shown_key.kit_granter_agent), ("cellar", "cellar"));
        assert!(opened(&attic, &world.key_as_agent(&attic).await.expect("shown")).expect("opened") == next);
        // From then on the owner grants as before.
        let ann = world.ready(&org, "ann@x").await;
        assert_eq!(world.confirm(&owner.signed, vec![to(&owner, &next, 2, &ann)]).await.expect("confirmed"), [""]);
        // New keys are new to the agent, too: an administrator who resets is confirmed by people again.
        let made = world.set_up(&owner.signed, true).await;
        let renewed = Ready { signed: owner.signed.clone(), made };
        let refused = world.confirm_as_agent(&cellar, vec![to(&cellar, &next, 2, &renewed)]).await.expect("answered");
        assert!(refused[0].contains("administrators"), "{refused:?}");
        world.unlock(&owner.signed, PASSWORD).await.expect("unlocked");
    })
    .await;
}

#[tokio::test]
async fn an_organization_has_so_many_agents_and_sees_its_own() {
    on_both(async |world| {
        let (org, theirs) = (world.linked("acme").await, world.linked("other").await);
        let first = world.agent_create(&org, "agent 0").await.expect("created").agent.expect("an agent").id;
        let second = world.agent_create(&org, "agent 1").await.expect("created").agent.expect("an agent").id;
        for n in 2..20 {
            world.agent_create(&org, &format!("agent {n}")).await.expect("created");
        }
        assert_eq!(reason(world.agent_create(&org, "one more").await), Reason::AccountState);
        world.agent_revoke(&org, &second).await.expect("revoked");
        let (why, message) = refused(world.agent_create(&org, " AGENT 2").await);
        assert_eq!(why, Reason::InvalidArgument);
        assert!(message.contains("\"AGENT 2\"") && message.contains("another name"), "{message}");
        world.agent_create(&org, "agent 1").await.expect("of one that was revoked");
        assert_eq!(world.agents(&theirs).await, []);
        world.agent_create(&theirs, "agent").await.expect("created");
        world.agent_revoke(&org, &first).await.expect("revoked");
        world.agent_create(&org, "one more").await.expect("created");
        let listed = world.agents(&org).await;
        assert_eq!((listed.len(), [&listed[20].id, &listed[21].id]), (22, [&second, &first]), "revoked ones last");
        let nowhere = uuid::Uuid::nil().to_string();
        assert_eq!(reason(world.agent_create(&nowhere, "x").await), Reason::OrganizationNotFound);
    })
    .await;
}

//! The rpcs of both services, by our organization's id with the ids of another one.

use std::{collections::BTreeSet, pin::Pin};

use prost_types::FileDescriptorSet;
use tonic::Status;
use uuid::Uuid;
use wire::{
    common::{Caller, ScimClient, caller::Kind},
    identity::{self as proto, group_change::Change, look_up_users_request::Key},
    token::{self, issue_o_auth_token_request::Grant},
};

use crate::{
    harness::{Server, administrator},
    record::recorded,
    subject::{Subject, sha256},
};

/// What a call was answered with.
type Outcome<'a> = Pin<Box<dyn Future<Output = Result<String, Status>> + 'a>>;
type Case = for<'a> fn(&'a Server, &'a Subject, &'a Subject) -> Vec<Outcome<'a>>;

macro_rules! call {
    ($client:expr, $rpc:ident, $request:expr) => {{
        let (mut client, request) = ($client.clone(), $request);
        Box::pin(async move { client.$rpc(request).await.map(|answer| format!("{:?}", answer.into_inner())) })
            as Outcome
    }};
}

/// Tries them all.
pub(crate) async fn all(server: &Server, ours: &Subject, theirs: &Subject) {
    let nobody = theirs.nobody();
    let cases = cases();
    let mut known: BTreeSet<&str> = cases.iter().map(|(name, _)| *name).collect();
    known.extend(WITHOUT);
    for rpc in rpcs_of_organizations() {
        assert!(known.contains(rpc.as_str()), "{rpc} takes an organization and has no case in this suite: add one");
    }
    for (rpc, case) in cases {
        let (foreign, missing) = (case(server, ours, theirs), case(server, ours, &nobody));
        assert!(!foreign.is_empty() && foreign.len() == missing.len(), "{rpc}");
        for (foreign, missing) in foreign.into_iter().zip(missing) {
            let (of_foreign, statements) = recorded(foreign).await;
            let (of_missing, expected) = recorded(missing).await;
            let (seen, wanted) = (shown(of_foreign, theirs), shown(of_missing, &nobody));
            assert_eq!(seen, wanted, "{rpc}: another organization's ids are told from those of nobody");
            assert_eq!(statements, expected, "{rpc}: other statements are sent");
        }
    }
}

/// Rpcs that name an organization and nothing in it, or that are told of one.
const WITHOUT: [&str; 29] = [
    "CreateConfirmAgent",
    "ListConfirmAgents",
    "ListHolds",
    "CountAccounts",
    "GetAccountPolicy",
    "SetAccountPolicy",
    "CountRequests",
    "SetProvisioningLog",
    "GetProvisioningLog",
    "CreateAdminInvite",
    "ListAdmins",
    "SetSignInProvider",
    "GetSignInProvider",
    "RemoveSignInProvider",
    // Its state is a secret, and drawn anew for each.
    "BeginSignIn",
    "ListEvents",
    "SetDeletionPolicy",
    "SetScimEnabled",
    "SetRequestLimit",
    "SetPlan",
    "AddSchema",
    "ListSchemas",
    "CreateScimToken",
    "ListScimTokens",
    "GetTokenPolicy",
    "SetTokenPolicy",
    "CreateOAuthClient",
    "ListOAuthClients",
    "ListOAuthGrants",
];

fn rpcs_of_organizations() -> Vec<String> {
    let set: FileDescriptorSet = prost::Message::decode(wire::DESCRIPTOR_SET).expect("descriptors");
    let files = || set.file.iter();
    let takes = |name: &str| {
        files().any(|file| {
            let package = format!(".{}.", file.package());
            file.message_type.iter().any(|message| {
                format!("{package}{}", message.name()) == name
                    && message.field.iter().any(|field| field.name() == "organization_id")
            })
        })
    };
    let rpcs = files().flat_map(|file| file.service.iter()).flat_map(|service| service.method.iter());
    let by_client = [
        "IssueOAuthToken",
        "RevokeOAuthToken",
        "ApproveOAuthAuthorization",
        "ConfirmMembers",
        "ListMembersToConfirm",
        "ConfirmMembersAsAgent",
        "ListMembersToConfirmAsAgent",
    ];
    let rpcs = rpcs.filter(|rpc| takes(rpc.input_type()) || by_client.contains(&rpc.name()));
    let rpcs: Vec<String> = rpcs.map(|rpc| rpc.name().to_owned()).collect();
    assert!(rpcs.len() >= 20, "{rpcs:?}");
    rpcs
}

fn shown(outcome: Result<String, Status>, names: &Subject) -> String {
    let text = match outcome {
        Ok(text) => text,
        Err(status) => format!("{:?}", wire::refusal(&status)),
    };
    // Member ids stand as bytes in some answers.
    names.anonymous(&text)
}

pub(crate) fn client() -> Option<Caller> {
    let token_id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    Some(Caller {
        kind: Some(Kind::ScimClient(ScimClient { token_id, entry_id: String::new() })),
        request_id: "r".to_owned(),
    })
}

fn packed(ids: &[String]) -> proto::MemberIds {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.parse().expect("id")).collect();
    proto::MemberIds { ids: wire::ids::pack(&ids) }
}

fn group_json(name: &str) -> Vec<u8> {
    serde_json::json!({"schemas": [scim::schema::GROUP], "displayName": name}).to_string().into_bytes()
}

fn query(filter: String) -> Option<proto::ListQuery> {
    let base_url = crate::harness::BASE.to_owned();
    Some(proto::ListQuery { filter, count: Some(10), base_url, ..Default::default() })
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<(&'static str, Case)> {
    vec![
        ("GetUser", |server, ours, of| {
            let ids = [of.user_id(), of.group_id()];
            ids.map(|id| {
                let organization_id = ours.organization.clone();
                call!(
                    server.identity,
                    get_user,
                    proto::GetUserRequest { organization_id, caller: client(), id, mask: None }
                )
            })
            .into()
        }),
        ("LookUpUsers", |server, ours, of| {
            let text = |name: &str| of.user[name].as_str().expect("text").to_owned();
            let email = of.user["emails"][0]["value"].as_str().expect("email").to_owned();
            let keys = [Key::UserName(text("userName")), Key::ExternalId(text("externalId")), Key::Email(email)];
            keys.map(|key| {
                let request = proto::LookUpUsersRequest {
                    organization_id: ours.organization.clone(),
                    caller: client(),
                    key: Some(key),
                    mask: None,
                };
                call!(server.identity, look_up_users, request)
            })
            .into()
        }),
        ("ListUsers", |server, ours, of| {
            let filters = [format!("id eq \"{}\"", of.user_id()), format!("groups.value eq \"{}\"", of.group_id())];
            filters
                .map(|filter| {
                    let request = proto::ListUsersRequest {
                        organization_id: ours.organization.clone(),
                        caller: client(),
                        query: query(filter),
                        mask: None,
                    };
                    call!(server.identity, list_users, request)
                })
                .into()
        }),
        ("ListGroups", |server, ours, of| {
            let filters = [format!("id eq \"{}\"", of.group_id()), format!("members.value eq \"{}\"", of.user_id())];
            filters
                .map(|filter| {
                    let request = proto::ListGroupsRequest {
                        organization_id: ours.organization.clone(),
                        caller: client(),
                        query: query(filter),
                        mask: Some(proto::GroupMask { members: 10 }),
                    };
                    call!(server.identity, list_groups, request)
                })
                .into()
        }),
        ("ListResources", |server, ours, of| {
            [of.user_id(), of.group_id()]
                .map(|id| {
                    let request = proto::ListResourcesRequest {
                        organization_id: ours.organization.clone(),
                        caller: client(),
                        query: query(format!("id eq \"{id}\"")),
                        ..Default::default()
                    };
                    call!(server.identity, list_resources, request)
                })
                .into()
        }),
        ("CreateUser", |server, ours, of| {
            // Refused, so that nothing differs but the name.
            let body = serde_json::json!({"schemas": [scim::schema::USER, of.urn], "userName": ours.user["userName"]});
            let request = proto::CreateUserRequest {
                organization_id: ours.organization.clone(),
                caller: client(),
                resource_json: body.to_string().into_bytes().into(),
                idempotency_key: Some(format!("key-{}", of.user_id())),
            };
            vec![call!(server.identity, create_user, request)]
        }),
        ("ReplaceUser", |server, ours, of| {
            let body = serde_json::json!({"schemas": [scim::schema::USER], "userName": "x"}).to_string();
            let versions = [None, Some(proto::Precondition { versions: vec![1] })];
            versions
                .map(|if_match| {
                    let request = proto::ReplaceUserRequest {
                        organization_id: ours.organization.clone(),
                        caller: client(),
                        id: of.user_id(),
                        if_match,
                        resource_json: body.clone().into_bytes().into(),
                        mask: None,
                    };
                    call!(server.identity, replace_user, request)
                })
                .into()
        }),
        ("PatchUser", |server, ours, of| {
            let operation = proto::PatchOperation {
                op: proto::PatchOp::Replace.into(),
                path: "active".to_owned(),
                value_json: b"false".to_vec().into(),
            };
            let request = proto::PatchUserRequest {
                organization_id: ours.organization.clone(),
                caller: client(),
                id: of.user_id(),
                if_match: None,
                operations: vec![operation],
                mask: None,
            };
            vec![call!(server.identity, patch_user, request)]
        }),
        ("DeleteUser", |server, ours, of| {
            let versions = [None, Some(proto::Precondition { versions: vec![1] })];
            versions
                .map(|if_match| {
                    let organization_id = ours.organization.clone();
                    let request =
                        proto::DeleteUserRequest { organization_id, caller: client(), id: of.user_id(), if_match };
                    call!(server.identity, delete_user, request)
                })
                .into()
        }),
        ("RestoreUser", |server, ours, of| {
            [of.former.clone(), of.user_id()]
                .map(|id| {
                    let organization_id = ours.organization.clone();
                    let request =
                        proto::RestoreUserRequest { organization_id, caller: administrator(), id, user_name: None };
                    call!(server.identity, restore_user, request)
                })
                .into()
        }),
        ("ListHoldUsers", |server, ours, of| {
            let request = proto::ListHoldUsersRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                id: of.former.clone(),
                ..Default::default()
            };
            vec![call!(server.identity, list_hold_users, request)]
        }),
        ("ApproveHold", |server, ours, of| {
            let organization_id = ours.organization.clone();
            let request = proto::ApproveHoldRequest { organization_id, caller: administrator(), id: of.former.clone() };
            vec![call!(server.identity, approve_hold, request)]
        }),
        ("RestoreHold", |server, ours, of| {
            let organization_id = ours.organization.clone();
            let request = proto::RestoreHoldRequest { organization_id, caller: administrator(), id: of.former.clone() };
            vec![call!(server.identity, restore_hold, request)]
        }),
        ("ListDeletedUsers", |server, ours, of| {
            let request = proto::ListDeletedUsersRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                page_size: 1,
                page_token: format!("{}.{}", i64::MAX / 1000, of.former),
                id: String::new(),
            };
            let one =
                proto::ListDeletedUsersRequest { page_token: String::new(), id: of.former.clone(), ..request.clone() };
            vec![call!(server.identity, list_deleted_users, request), call!(server.identity, list_deleted_users, one)]
        }),
        ("GetRequest", |server, ours, of| {
            let organization_id = ours.organization.clone();
            let request = proto::GetRequestRequest { organization_id, caller: administrator(), id: of.logged.clone() };
            vec![call!(server.log, get_request, request)]
        }),
        ("ListRequests", |server, ours, of| {
            let about = proto::ListRequestsRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                subject_id: of.user_id(),
                ..Default::default()
            };
            let after = proto::ListRequestsRequest {
                subject_id: String::new(),
                after_id: of.logged.clone(),
                words: of.logged.clone(),
                ..about.clone()
            };
            vec![call!(server.log, list_requests, about), call!(server.log, list_requests, after)]
        }),
        ("ListEventsOfSubject", |server, ours, of| {
            let organization_id = ours.organization.clone();
            let request = proto::ListEventsOfSubjectRequest {
                organization_id,
                subject_id: of.user_id(),
                before_sequence: 0,
                page_size: 0,
            };
            vec![call!(server.log, list_events_of_subject, request)]
        }),
        ("ListGroupsOfUser", |server, ours, of| {
            let request = proto::ListGroupsOfUserRequest {
                organization_id: ours.organization.clone(),
                caller: client(),
                user_id: of.user_id(),
            };
            vec![call!(server.identity, list_groups_of_user, request)]
        }),
        ("CreateGroup", |server, ours, of| {
            [of.user_id(), of.inner.clone()]
                .map(|id| {
                    let request = proto::CreateGroupRequest {
                        organization_id: ours.organization.clone(),
                        caller: client(),
                        resource_json: group_json("New").into(),
                        members: Some(packed(&[id])),
                        mask: None,
                        idempotency_key: None,
                    };
                    call!(server.identity, create_group, request)
                })
                .into()
        }),
        ("GetGroup", |server, ours, of| {
            [0, 10]
                .map(|members| {
                    let request = proto::GetGroupRequest {
                        organization_id: ours.organization.clone(),
                        caller: client(),
                        id: of.group_id(),
                        mask: Some(proto::GroupMask { members }),
                    };
                    call!(server.identity, get_group, request)
                })
                .into()
        }),
        ("ReplaceGroup", |server, ours, of| {
            let cases = [
                (of.group_id(), Vec::new()),
                (ours.group_id(), vec![of.user_id()]),
                (ours.group_id(), vec![of.inner.clone()]),
            ];
            cases
                .map(|(id, members)| {
                    let request = proto::ReplaceGroupRequest {
                        organization_id: ours.organization.clone(),
                        caller: client(),
                        id,
                        if_match: None,
                        resource_json: group_json("Own").into(),
                        members: Some(packed(&members)),
                        mask: Some(proto::GroupMask { members: 10 }),
                    };
                    call!(server.identity, replace_group, request)
                })
                .into()
        }),
        ("PatchGroup", |server, ours, of| {
            let mut all = Vec::new();
            for members in [0, 10] {
                for (id, change) in [
                    (of.group_id(), Change::AddMembers(packed(&[ours.user_id()]))),
                    (of.group_id(), Change::RemoveMembers(packed(&[of.user_id()]))),
                    (ours.group_id(), Change::AddMembers(packed(&[of.user_id()]))),
                    (ours.group_id(), Change::AddMembers(packed(std::slice::from_ref(&of.inner)))),
                    (ours.group_id(), Change::ReplaceMembers(packed(&[of.user_id()]))),
                ] {
                    let request = proto::PatchGroupRequest {
                        organization_id: ours.organization.clone(),
                        caller: client(),
                        id,
                        if_match: None,
                        changes: vec![proto::GroupChange { change: Some(change) }],
                        mask: Some(proto::GroupMask { members }),
                        base_url: crate::harness::BASE.to_owned(),
                    };
                    all.push(call!(server.identity, patch_group, request));
                }
            }
            all
        }),
        ("DeleteGroup", |server, ours, of| {
            let organization_id = ours.organization.clone();
            let request =
                proto::DeleteGroupRequest { organization_id, caller: client(), id: of.group_id(), if_match: None };
            vec![call!(server.identity, delete_group, request)]
        }),
        ("ListMembers", |server, ours, of| {
            let request = proto::ListMembersRequest {
                organization_id: ours.organization.clone(),
                caller: client(),
                group_id: of.group_id(),
                ..Default::default()
            };
            vec![call!(server.identity, list_members, request)]
        }),
        ("RevokeScimToken", |server, ours, of| {
            let request = token::RevokeScimTokenRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                id: of.token_id.clone(),
            };
            vec![call!(server.tokens, revoke_scim_token, request)]
        }),
        ("RotateScimToken", |server, ours, of| {
            let request = token::RotateScimTokenRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                id: of.token_id.clone(),
                ..Default::default()
            };
            vec![call!(server.tokens, rotate_scim_token, request)]
        }),
        ("RetireScimToken", |server, ours, of| {
            [false, true]
                .map(|force| {
                    let request = token::RetireScimTokenRequest {
                        organization_id: ours.organization.clone(),
                        caller: administrator(),
                        id: of.token_id.clone(),
                        force,
                    };
                    call!(server.tokens, retire_scim_token, request)
                })
                .into()
        }),
        ("RevokeOAuthClient", |server, ours, of| {
            let request = token::RevokeOAuthClientRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                id: of.oauth_client.clone(),
            };
            vec![call!(server.oauth, revoke_o_auth_client, request)]
        }),
        ("RotateOAuthSecret", |server, ours, of| {
            let request = token::RotateOAuthSecretRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                id: of.oauth_client.clone(),
                deadline: None,
            };
            vec![call!(server.oauth, rotate_o_auth_secret, request)]
        }),
        ("RetireOAuthSecret", |server, ours, of| {
            let request = token::RetireOAuthSecretRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                id: of.oauth_client.clone(),
                force: true,
            };
            vec![call!(server.oauth, retire_o_auth_secret, request)]
        }),
        ("CreateOAuthApproval", |server, ours, of| {
            let request = token::CreateOAuthApprovalRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                client_id: of.oauth_client.clone(),
                oauth_entitled: true,
            };
            vec![call!(server.oauth, create_o_auth_approval, request)]
        }),
        ("RevokeOAuthGrant", |server, ours, of| {
            let request = token::RevokeOAuthGrantRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                id: of.oauth_grant.clone(),
            };
            vec![call!(server.oauth, revoke_o_auth_grant, request)]
        }),
        ("SetAdminRole", |server, ours, of| {
            let request = proto::SetAdminRoleRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                id: of.console.admin.clone(),
                role: proto::AdminRole::Viewer.into(),
            };
            vec![call!(server.console, set_admin_role, request)]
        }),
        ("RemoveAdmin", |server, ours, of| {
            [&of.console.admin, &of.console.invite]
                .map(|id| {
                    let request = proto::RemoveAdminRequest {
                        organization_id: ours.organization.clone(),
                        caller: administrator(),
                        id: id.clone(),
                    };
                    call!(server.console, remove_admin, request)
                })
                .into()
        }),
        ("FinishSignIn", |server, ours, of| {
            let named = proto::FinishSignInRequest {
                organization_id: ours.organization.clone(),
                issuer: crate::subject::ISSUER.to_owned(),
                subject: of.console.subject.clone(),
                ..Default::default()
            };
            let by_email =
                proto::FinishSignInRequest { email: of.console.email.clone(), email_verified: true, ..named.clone() };
            vec![call!(server.console, finish_sign_in, named), call!(server.console, finish_sign_in, by_email)]
        }),
        ("ListSessions", |server, ours, of| {
            let (organization_id, admin_id) = (ours.organization.clone(), of.console.admin.clone());
            vec![call!(server.console, list_sessions, proto::ListSessionsRequest { organization_id, admin_id })]
        }),
        ("RevokeSession", |server, ours, of| {
            let request = proto::RevokeSessionRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                id: of.console.session.clone(),
            };
            vec![call!(server.console, revoke_session, request)]
        }),
        ("FinishAccountSignIn", |server, ours, of| {
            let named = proto::FinishAccountSignInRequest {
                organization_id: ours.organization.clone(),
                issuer: crate::subject::ISSUER.to_owned(),
                subject: of.member.subject.clone(),
                ..Default::default()
            };
            let by_email = proto::FinishAccountSignInRequest {
                email: of.member.email.clone(),
                email_verified: true,
                ..named.clone()
            };
            vec![
                call!(server.accounts, finish_account_sign_in, named),
                call!(server.accounts, finish_account_sign_in, by_email),
            ]
        }),
        ("GetAccount", |server, ours, of| {
            [of.user_id(), of.former.clone()]
                .map(|user_id| {
                    let organization_id = ours.organization.clone();
                    call!(server.accounts, get_account, proto::GetAccountRequest { organization_id, user_id })
                })
                .into()
        }),
        ("ListAccounts", |server, ours, of| {
            // Where it is in the order is no secret: in this state there is nobody.
            let request = proto::ListAccountsRequest {
                organization_id: ours.organization.clone(),
                states: vec![proto::AccountState::SetupRequired.into()],
                after: of.user_id(),
                limit: 1,
            };
            vec![call!(server.accounts, list_accounts, request)]
        }),
        ("UnlinkAccount", |server, ours, of| {
            [of.user_id(), of.former.clone()]
                .map(|user_id| {
                    let (organization_id, caller) = (ours.organization.clone(), administrator());
                    let request = proto::UnlinkAccountRequest { organization_id, caller, user_id };
                    call!(server.accounts, unlink_account, request)
                })
                .into()
        }),
        ("InviteToSetUp", |server, ours, of| {
            let request = proto::InviteToSetUpRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                user_ids: vec![of.user_id(), of.former.clone()],
                url: "https://scim.example.com/console/account".to_owned(),
            };
            vec![call!(server.accounts, invite_to_set_up, request)]
        }),
        // Rpcs that find the organization by a session.
        ("ConfirmMembers", |server, ours, of| {
            let grant = proto::Grant {
                version: 1,
                user_id: of.user_id(),
                recipient_key_id: of.member.key.clone(),
                enc: vec![1; 32].into(),
                ciphertext: vec![1; 48].into(),
                signature: vec![1; 64].into(),
                granter_key_id: ours.member.key.clone(),
            };
            let own = proto::Grant { user_id: ours.user_id(), ..grant.clone() };
            // One by one: who is locked first is the order of ids, and no secret.
            [grant, own]
                .map(|grant| {
                    let request = proto::ConfirmMembersRequest {
                        secret_sha256: sha256(&ours.member.secret),
                        request_id: String::new(),
                        grants: vec![grant],
                        automatic: false,
                    };
                    call!(server.accounts, confirm_members, request)
                })
                .into()
        }),
        ("ListMembersToConfirm", |server, ours, of| {
            let request = proto::ListMembersToConfirmRequest {
                secret_sha256: sha256(&ours.member.secret),
                request_id: String::new(),
                after: of.member.key.clone(),
            };
            vec![call!(server.accounts, list_members_to_confirm, request)]
        }),
        ("RevokeConfirmAgent", |server, ours, of| {
            let request = proto::RevokeConfirmAgentRequest {
                organization_id: ours.organization.clone(),
                caller: administrator(),
                id: of.member.agent.clone(),
            };
            vec![call!(server.accounts, revoke_confirm_agent, request)]
        }),
        // Rpcs that find the organization by an agent's credential.
        ("ConfirmMembersAsAgent", |server, ours, of| {
            let grant = proto::Grant {
                version: 1,
                user_id: of.user_id(),
                recipient_key_id: of.member.key.clone(),
                enc: vec![1; 32].into(),
                ciphertext: vec![1; 48].into(),
                signature: vec![1; 64].into(),
                granter_key_id: ours.member.key.clone(),
            };
            let to_agent = proto::Grant { user_id: of.member.agent.clone(), ..grant.clone() };
            let own = proto::Grant { user_id: ours.user_id(), ..grant.clone() };
            [grant, to_agent, own]
                .map(|grant| {
                    let request = proto::ConfirmMembersRequest {
                        secret_sha256: sha256(&ours.member.agent_secret),
                        request_id: String::new(),
                        grants: vec![grant],
                        automatic: false,
                    };
                    call!(server.accounts, confirm_members_as_agent, request)
                })
                .into()
        }),
        ("ListMembersToConfirmAsAgent", |server, ours, of| {
            let request = proto::ListMembersToConfirmAsAgentRequest {
                secret_sha256: sha256(&ours.member.agent_secret),
                request_id: String::new(),
                after: of.member.key.clone(),
                // Where it is in the order is no secret: of this version nobody waits.
                of_next_version: false,
            };
            vec![call!(server.accounts, list_members_to_confirm_as_agent, request)]
        }),
        // Rpcs that name a client and what it shows, and find the organization by the client.
        ("IssueOAuthToken", |server, ours, of| {
            let code = token::OAuthCode {
                code_sha256: sha256(&of.oauth_code),
                redirect_uri: crate::subject::CALLBACK.to_owned(),
                code_challenge: None,
            };
            [Grant::Code(code), Grant::RefreshSha256(sha256(&of.oauth_refresh))]
                .map(|grant| {
                    let request = token::IssueOAuthTokenRequest {
                        credential: ours.oauth_credential(),
                        grant: Some(grant),
                        ..Default::default()
                    };
                    call!(server.oauth, issue_o_auth_token, request)
                })
                .into()
        }),
        ("RevokeOAuthToken", |server, ours, of| {
            [&of.oauth_refresh, &of.oauth_access, &of.token]
                .map(|token| {
                    let request = token::RevokeOAuthTokenRequest {
                        credential: ours.oauth_credential(),
                        request_id: String::new(),
                        token_sha256: sha256(token),
                    };
                    call!(server.oauth, revoke_o_auth_token, request)
                })
                .into()
        }),
        ("ApproveOAuthAuthorization", |server, ours, of| {
            let request = token::ApproveOAuthAuthorizationRequest {
                client_id: ours.oauth_client.clone(),
                approval_sha256: sha256(&of.oauth_approval),
                redirect_uri: crate::subject::CALLBACK.to_owned(),
                oauth_entitled: true,
                ..Default::default()
            };
            vec![call!(server.oauth, approve_o_auth_authorization, request)]
        }),
    ]
}

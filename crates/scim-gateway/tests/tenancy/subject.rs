//! An organization's resources, as somebody else might name them.

use std::sync::OnceLock;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use wire::{
    identity as proto,
    token::{
        ApproveOAuthAuthorizationRequest, CreateOAuthApprovalRequest, CreateOAuthClientRequest, IssueOAuthTokenRequest,
        ListOAuthClientsRequest, ListOAuthGrantsRequest, OAuthClientCredential, OAuthCode, OAuthGrantType,
        VerifyRequest, issue_o_auth_token_request::Grant, o_auth_client_credential::Proof,
    },
};

use crate::harness::{Server, administrator, text};

/// What there is to name. Each text is one that only this organization has.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) organization: String,
    pub(crate) token: String,
    pub(crate) token_id: String,
    pub(crate) user: Value,
    pub(crate) group: Value,
    /// A group, and where there is nesting a member of the other one.
    pub(crate) inner: String,
    /// A group without members.
    pub(crate) empty: String,
    /// A user who is in the outer group only, and one who is in the inner one only.
    pub(crate) apart: [String; 2],
    /// A user that was deleted, out of the inner group.
    pub(crate) former: String,
    pub(crate) urn: String,
    pub(crate) user_etag: String,
    pub(crate) group_etag: String,
    pub(crate) cursor: String,
    /// UUID of an OAuth client that may use codes.
    pub(crate) oauth_client: String,
    oauth_secret: String,
    /// UUID of what was granted to it.
    pub(crate) oauth_grant: String,
    /// What it was given and has not used.
    pub(crate) oauth_approval: String,
    pub(crate) oauth_code: String,
    pub(crate) oauth_access: String,
    pub(crate) oauth_refresh: String,
    /// UUID of a request in the log. See [`Self::with_console`].
    pub(crate) logged: String,
    /// See [`Self::with_console`].
    pub(crate) console: Console,
    /// See [`Self::with_member`].
    pub(crate) member: Member,
}

/// What the console of an organization has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Console {
    pub(crate) admin: String,
    pub(crate) email: String,
    /// At the provider.
    pub(crate) subject: String,
    pub(crate) session: String,
    pub(crate) invite: String,
}

/// Of the user: its account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub(crate) email: String,
    /// At the provider.
    pub(crate) subject: String,
    /// UUID of its key.
    pub(crate) key: String,
    /// Of its session.
    pub(crate) secret: String,
    /// UUID of an agent that confirms, and its credential.
    pub(crate) agent: String,
    pub(crate) agent_secret: String,
}

pub(crate) const ISSUER: &str = "https://idp.example.com";
pub(crate) const CALLBACK: &str = "https://idp.example.com/callback";

impl Subject {
    /// A new organization with something of everything; the server speaks for it afterwards.
    pub(crate) async fn enroll(server: &mut Server, name: &str) -> Self {
        Self::enroll_as(server, name, true).await
    }

    /// With groups in groups, or without: then other statements look for the groups of a user.
    pub(crate) async fn enroll_as(server: &mut Server, name: &str, nested: bool) -> Self {
        server.enroll(name).await;
        let tag = tag();
        let urn = format!("urn:example:{tag}:2.0:User");
        let schema = json!({"id": urn, "name": "Own", "attributes": [{"name": "badge", "type": "string"}]});
        server.add_schema(&server.organization.clone(), &schema).await;
        let boss = server.user(&format!("boss-{tag}@example.com")).await;
        let user = json!({
            "schemas": [scim::schema::USER, scim::schema::ENTERPRISE_USER, urn],
            "userName": format!("user-{tag}@example.com"),
            "externalId": format!("external-{tag}"),
            "displayName": format!("Display {tag}"),
            "nickName": format!("nick-{tag}"),
            "profileUrl": format!("https://example.com/{tag}"),
            "title": format!("title-{tag}"),
            "userType": format!("type-{tag}"),
            "preferredLanguage": format!("l-{tag}"),
            "locale": format!("locale-{tag}"),
            "timezone": format!("zone-{tag}"),
            "name": {"givenName": format!("Given {tag}"), "familyName": format!("Family {tag}")},
            "emails": [{"value": format!("mail-{tag}@example.com"), "type": format!("mt-{tag}"), "primary": true}],
            "phoneNumbers": [{"value": format!("phone-{tag}"), "type": format!("pt-{tag}")}],
            "addresses": [{"locality": format!("city-{tag}"), "country": "DE"}],
            "entitlements": [{"value": format!("entitlement-{tag}")}],
            "roles": [{"value": format!("role-{tag}")}],
            scim::schema::ENTERPRISE_USER: {
                "employeeNumber": format!("n-{tag}"),
                "costCenter": format!("cost-{tag}"),
                "department": format!("department-{tag}"),
                "manager": {"value": boss},
            },
            urn.clone(): {"badge": format!("badge-{tag}")},
        });
        let created = server.post("/Users", &user).await.is(201);
        let id = text(&created.json()["id"]);
        let inside = server.user(&format!("inside-{tag}@example.com")).await;
        let former = server.user(&format!("former-{tag}@example.com")).await;
        let inner = json!({
            "schemas": [scim::schema::GROUP],
            "displayName": format!("Inner {tag}"),
            "externalId": format!("group-{tag}"),
            "members": [{"value": id}, {"value": inside}, {"value": former}],
        });
        let inner = text(&server.post("/Groups", &inner).await.is(201).json()["id"]);
        server.delete(&format!("/Users/{former}")).await.is(204);
        let outside = server.user(&format!("outside-{tag}@example.com")).await;
        let members = [id.as_str(), &outside, &inner];
        let outer = server.group(&format!("Outer {tag}"), if nested { &members } else { &members[..2] }).await;
        let empty = server.group(&format!("Empty {tag}"), &[]).await;
        let user = server.get(&format!("/Users/{id}")).await.is(200);
        let group = server.get(&format!("/Groups/{outer}")).await.is(200);
        let page = server.get("/Users?count=1&cursor=").await.is(200).json();
        let oauth = OAuth::enroll(server).await;
        Self {
            oauth_client: oauth.client,
            oauth_secret: oauth.secret,
            oauth_grant: oauth.grant,
            oauth_approval: oauth.approval,
            oauth_code: oauth.code,
            oauth_access: oauth.access,
            oauth_refresh: oauth.refresh,
            organization: server.organization.clone(),
            token: server.token.clone(),
            token_id: server.token_id.clone(),
            user_etag: user.header("etag").to_owned(),
            group_etag: group.header("etag").to_owned(),
            user: user.json(),
            group: group.json(),
            inner,
            empty,
            apart: [outside, inside],
            former,
            urn,
            cursor: text(&page["nextCursor"]),
            logged: String::new(),
            console: Console::default(),
            member: Member::default(),
        }
    }

    /// With a sign-in provider, an administrator who has signed in by it, and an invitation; and a request in the log.
    pub(crate) async fn with_console(self, server: &Server) -> Self {
        let (mut rpc, organization_id) = (server.console.clone(), self.organization.clone());
        let set = proto::SetSignInProviderRequest {
            organization_id: organization_id.clone(),
            caller: administrator(),
            issuer: ISSUER.to_owned(),
            client_id: "rollcall".to_owned(),
            client_secret: Some("s3cret".to_owned()),
        };
        rpc.set_sign_in_provider(set).await.expect("provider");
        let (email, subject) = (format!("admin-{}@example.com", tag()), tag());
        let invite = |email: &str| proto::CreateAdminInviteRequest {
            organization_id: organization_id.clone(),
            caller: administrator(),
            email: email.to_owned(),
            role: proto::AdminRole::Owner.into(),
            ttl_hours: None,
        };
        let made = rpc.create_admin_invite(invite(&email)).await.expect("invited").into_inner();
        let accept = proto::AcceptAdminInviteRequest { secret_sha256: sha256(&made.secret), ..Default::default() };
        rpc.accept_admin_invite(accept).await.expect("accepted");
        let named = proto::FinishSignInRequest {
            organization_id: organization_id.clone(),
            issuer: ISSUER.to_owned(),
            subject: subject.clone(),
            email: email.clone(),
            email_verified: true,
            ..Default::default()
        };
        let signed_in = rpc.finish_sign_in(named).await.expect("signed in").into_inner().session.expect("session");
        let pending = rpc.create_admin_invite(invite("invited@example.com")).await.expect("invited").into_inner();
        let admin = signed_in.admin.expect("admin").id;
        let console =
            Console { admin, email, subject, session: signed_in.id, invite: pending.invite.expect("invitation").id };
        let logged = new_id().to_string();
        let request = proto::LoggedRequest {
            id: logged.clone(),
            organization_id,
            subject_id: self.user_id(),
            status: 409,
            outcome: proto::Outcome::Refused.into(),
            ..Default::default()
        };
        let report = proto::ReportRequestsRequest { requests: vec![request], counts: Vec::new() };
        server.log.clone().report_requests(report).await.expect("reported");
        Self { logged, console, ..self }
    }

    /// With an account of the user, who is that administrator, has keys and the organization's key, and is unlocked. A browser
    /// would have made the keys; here they are rows.
    pub(crate) async fn with_member(self, server: &Server) -> Self {
        let email = text(&self.user["emails"][0]["value"]);
        let named = proto::FinishAccountSignInRequest {
            organization_id: self.organization.clone(),
            issuer: ISSUER.to_owned(),
            subject: self.console.subject.clone(),
            email: email.clone(),
            email_verified: true,
            ..Default::default()
        };
        let signed_in = server.accounts.clone().finish_account_sign_in(named).await.expect("signed in").into_inner();
        let key = new_id().to_string();
        let database = &server.databases[0];
        let [org, user, id] = [&self.organization, &self.user_id(), &key].map(|id| database.literal(id));
        let bytes = |n: usize| {
            if database.is_sqlite() {
                format!("zeroblob({n})")
            } else {
                format!("CAST(decode(repeat('00', {n}), 'hex') AS bytea)")
            }
        };
        let (b12, b32, b48, b64) = (bytes(12), bytes(32), bytes(48), bytes(64));
        let of_user = format!("org = {org} AND user_id = {user}");
        let rows = format!(
            "UPDATE account SET stage = 3, key_id = {id}, granted = 1, set_up = created, confirmed = created WHERE {of_user}; \
             UPDATE account_session SET unlocked = created WHERE {of_user}; \
             INSERT INTO account_key (org, id, user_id, version, enc_pub, sig_pub, possession, challenge, created) \
             SELECT org, {id}, user_id, 1, {b32}, {b32}, {b64}, {b32}, created FROM account WHERE {of_user}; \
             INSERT INTO account_key_wrap (org, user_id, kind, key_id, nonce, ciphertext, created) \
             SELECT org, user_id, 'password', {id}, {b12}, {b48}, created FROM account WHERE {of_user}; \
             INSERT INTO org_key (org, version, made_by, made_by_key, kit_pub, kit_enc, kit_ciphertext, kit_signature, created) \
             SELECT org, 1, user_id, {id}, {b32}, {b32}, {b48}, {b64}, created FROM account WHERE {of_user}; \
             INSERT INTO org_key_grant (org, user_id, version, recipient_key_id, enc, ciphertext, signature, granter_key_id, \
             created) SELECT org, user_id, 1, {id}, {b32}, {b48}, {b64}, {id}, created FROM account WHERE {of_user}"
        );
        database.execute(&rows).expect("rows");
        let create = proto::CreateConfirmAgentRequest {
            organization_id: self.organization.clone(),
            caller: administrator(),
            name: "agent".to_owned(),
        };
        let made = server.accounts.clone().create_confirm_agent(create).await.expect("created").into_inner();
        let agent = made.agent.expect("an agent").id;
        let of_agent = format!("org = {org} AND id = {}", database.literal(&agent));
        // It is not to be told behind that it was seen.
        let later = if database.is_sqlite() { "created + 86400000000" } else { "created + interval '1 day'" };
        let rows = format!(
            "INSERT INTO account_key (org, id, user_id, version, enc_pub, sig_pub, possession, challenge, created) \
             SELECT org, key_id, id, 1, {b32}, {b32}, {b64}, challenge, created FROM confirm_agent WHERE {of_agent}; \
             INSERT INTO org_key_grant (org, user_id, version, recipient_key_id, enc, ciphertext, signature, granter_key_id, \
             created) SELECT org, id, 1, key_id, {b32}, {b48}, {b64}, {id}, created FROM confirm_agent WHERE {of_agent}; \
             UPDATE confirm_agent SET granted = 1, enrolled = created, confirmed = created, last_seen = {later} WHERE {of_agent}"
        );
        database.execute(&rows).expect("rows");
        let subject = self.console.subject.clone();
        let (secret, agent_secret) = (signed_in.secret, made.secret);
        Self { member: Member { email, subject, key, secret, agent, agent_secret }, ..self }
    }

    /// The same with other ids and texts, which nobody has: what is compared with.
    pub(crate) fn nobody(&self) -> Self {
        let all =
            json!([self.user, self.group, self.inner, self.urn, self.empty, self.apart[0], self.apart[1], self.former]);
        let mut text = serde_json::to_string(&all).expect("JSON");
        for known in self.known() {
            text = text.replace(&known, &shuffled(&known));
        }
        let value: Value = serde_json::from_str(&text).expect("JSON");
        Self {
            user: value[0].clone(),
            group: value[1].clone(),
            inner: value[2].as_str().expect("inner").to_owned(),
            urn: value[3].as_str().expect("urn").to_owned(),
            empty: value[4].as_str().expect("empty").to_owned(),
            apart: [5, 6].map(|n| value[n].as_str().expect("apart").to_owned()),
            former: value[7].as_str().expect("former").to_owned(),
            // As long, and sealed by nobody.
            cursor: self.cursor.chars().rev().collect(),
            organization: new_id().to_string(),
            token_id: new_id().to_string(),
            token: shuffled(""),
            oauth_client: new_id().to_string(),
            oauth_grant: new_id().to_string(),
            oauth_approval: shuffled(""),
            oauth_code: shuffled(""),
            oauth_access: shuffled(""),
            oauth_refresh: shuffled(""),
            logged: new_id().to_string(),
            console: Console {
                admin: new_id().to_string(),
                email: format!("admin-{}@example.com", tag()),
                subject: tag(),
                session: new_id().to_string(),
                invite: new_id().to_string(),
            },
            member: Member {
                email: format!("mail-{}@example.com", tag()),
                subject: tag(),
                key: new_id().to_string(),
                secret: shuffled(""),
                agent: new_id().to_string(),
                agent_secret: shuffled(""),
            },
            ..self.clone()
        }
    }

    /// The ids, and the tag that is part of every text.
    fn known(&self) -> Vec<String> {
        let tag = self.urn.split(':').nth(2).expect("a tag").to_owned();
        let manager = self.manager();
        let [outside, inside] = self.apart.clone();
        // Not everybody has one.
        let agent = Some(self.member.agent.clone()).filter(|agent| !agent.is_empty());
        agent
            .into_iter()
            .chain([
                self.user_id(),
                self.group_id(),
                self.inner.clone(),
                manager,
                tag,
                self.empty.clone(),
                outside,
                inside,
                self.former.clone(),
            ])
            .collect()
    }

    pub(crate) fn user_id(&self) -> String {
        text(&self.user["id"])
    }

    pub(crate) fn group_id(&self) -> String {
        text(&self.group["id"])
    }

    /// Of the inner group.
    pub(crate) fn group_external_id(&self) -> String {
        format!("group-{}", self.urn.split(':').nth(2).expect("a tag"))
    }

    pub(crate) fn manager(&self) -> String {
        text(&self.user[scim::schema::ENTERPRISE_USER]["manager"]["value"])
    }

    /// An answer without the names that were asked by, so that two can be compared.
    pub(crate) fn anonymous(&self, answer: &str) -> String {
        let mut answer = answer.to_owned();
        for (n, known) in self.known().iter().enumerate() {
            answer = answer.replace(known, &format!("<{n}>"));
        }
        // The part of a tag that is made of ids.
        for (n, tag) in [&self.user_etag, &self.group_etag].into_iter().enumerate() {
            let digest = tag.trim_end_matches('"').rsplit(['-', '"']).next().unwrap_or_default();
            if digest.len() > 8 {
                answer = answer.replace(digest, &format!("<tag {n}>"));
            }
        }
        answer
            .replace(&self.token_id, "<token>")
            .replace(&self.organization, "<organization>")
            .replace(&self.cursor, "<cursor>")
    }

    /// As its OAuth client shows itself.
    pub(crate) fn oauth_credential(&self) -> Option<OAuthClientCredential> {
        let proof = Some(Proof::SecretSha256(sha256(&self.oauth_secret)));
        Some(OAuthClientCredential { client_id: self.oauth_client.clone(), proof })
    }

    /// All that its own token sees.
    pub(crate) async fn state(&self, server: &Server) -> Vec<String> {
        let mut seen = Vec::new();
        for path in ["/Users?count=100", "/Groups?count=100", "/Schemas"] {
            let bearer = format!("Bearer {}", self.token);
            let answer = server.raw("GET", path, &[("authorization", &bearer)], String::new()).await.is(200);
            seen.push(String::from_utf8_lossy(&answer.body).into_owned());
        }
        let (organization_id, mut oauth) = (self.organization.clone(), server.oauth.clone());
        let clients = oauth.list_o_auth_clients(ListOAuthClientsRequest { organization_id: organization_id.clone() });
        let clients = clients.await.expect("clients").into_inner();
        // When a token was last used is told behind.
        let mut grants = oauth.list_o_auth_grants(ListOAuthGrantsRequest { organization_id }).await.expect("grants");
        grants.get_mut().grants.iter_mut().for_each(|grant| grant.last_used_at = None);
        seen.push(format!("{clients:?} {:?}", grants.get_ref()));
        let (organization_id, mut console) = (self.organization.clone(), server.console.clone());
        let list = proto::ListAdminsRequest { organization_id: organization_id.clone() };
        let admins = console.list_admins(list).await.expect("administrators").into_inner();
        let list = proto::ListSessionsRequest { organization_id: organization_id.clone(), admin_id: String::new() };
        let sessions = console.list_sessions(list).await.expect("sessions").into_inner();
        let get = proto::GetSignInProviderRequest { organization_id, with_client_secret: true };
        let provider = console.get_sign_in_provider(get).await.ok().map(tonic::Response::into_inner);
        seen.push(format!("{admins:?} {sessions:?} {provider:?}"));
        let list = proto::ListAccountsRequest { organization_id: self.organization.clone(), ..Default::default() };
        seen.push(format!("{:?}", server.accounts.clone().list_accounts(list).await.expect("accounts").into_inner()));
        if !self.member.secret.is_empty() {
            let request =
                proto::AccountSessionRequest { secret_sha256: sha256(&self.member.secret), ..Default::default() };
            let key = server.accounts.clone().get_organization_key(request).await.expect("its key").into_inner();
            seen.push(format!("{key:?}"));
        }
        for secret in [&self.token, &self.oauth_access] {
            let verify = VerifyRequest { secret_sha256: sha256(secret), restrictions_enforced: true };
            seen.push(format!("{:?}", server.tokens.clone().verify(verify).await.expect("valid").into_inner()));
        }
        seen
    }
}

struct OAuth {
    client: String,
    secret: String,
    grant: String,
    approval: String,
    code: String,
    access: String,
    refresh: String,
}

impl OAuth {
    /// A client with a grant, and with a code and an approval that it did not use yet.
    async fn enroll(server: &Server) -> Self {
        let mut rpc = server.oauth.clone();
        let create = CreateOAuthClientRequest {
            organization_id: server.organization.clone(),
            caller: administrator(),
            name: "Okta".to_owned(),
            grant_types: vec![OAuthGrantType::AuthorizationCode.into()],
            redirect_uris: vec![CALLBACK.to_owned()],
            oauth_entitled: true,
            ..Default::default()
        };
        let created = rpc.create_o_auth_client(create).await.expect("created").into_inner();
        let (client, secret) = (created.client.expect("client").id, created.secret);
        let approve = CreateOAuthApprovalRequest {
            organization_id: server.organization.clone(),
            caller: administrator(),
            client_id: client.clone(),
            oauth_entitled: true,
        };
        let mut codes = Vec::new();
        let mut approval = String::new();
        for round in 0..3 {
            let made = rpc.create_o_auth_approval(approve.clone()).await.expect("approval").into_inner();
            approval = made.code.replace('-', "");
            if round < 2 {
                let request = ApproveOAuthAuthorizationRequest {
                    client_id: client.clone(),
                    approval_sha256: sha256(&approval),
                    redirect_uri: CALLBACK.to_owned(),
                    oauth_entitled: true,
                    ..Default::default()
                };
                codes.push(rpc.approve_o_auth_authorization(request).await.expect("code").into_inner().code);
            }
        }
        let exchange =
            OAuthCode { code_sha256: sha256(&codes[0]), redirect_uri: CALLBACK.to_owned(), code_challenge: None };
        let proof = Some(Proof::SecretSha256(sha256(&secret)));
        let issue = IssueOAuthTokenRequest {
            credential: Some(OAuthClientCredential { client_id: client.clone(), proof }),
            grant: Some(Grant::Code(exchange)),
            ..Default::default()
        };
        let issued = rpc.issue_o_auth_token(issue).await.expect("tokens").into_inner();
        let list = ListOAuthGrantsRequest { organization_id: server.organization.clone() };
        let grant = rpc.list_o_auth_grants(list).await.expect("grants").into_inner().grants.remove(0).id;
        let (access, refresh) = (issued.access_token, issued.refresh_token);
        Self { client, secret, grant, approval, code: codes.remove(1), access, refresh }
    }
}

pub(crate) fn sha256(text: &str) -> axum::body::Bytes {
    Sha256::digest(text.as_bytes()).to_vec().into()
}

/// As the services make them.
fn new_id() -> Uuid {
    static IDS: OnceLock<store::Ids> = OnceLock::new();
    IDS.get_or_init(|| store::Ids::new(store::Clock::system(), store::Random::system())).next()
}

/// Short, because errors cut off what is long.
fn tag() -> String {
    new_id().simple().to_string().split_off(20)
}

/// Another text of the same form.
fn shuffled(known: &str) -> String {
    if known.contains('-') { new_id().to_string() } else { tag() }
}

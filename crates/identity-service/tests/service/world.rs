//! A service on a fresh database, and the calls that tests make.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use identity_service::{Config, Mailing, OpaqueSetUpSource, SealingKeySource, Service, new_opaque_set_up};
use serde_json::{Value, json};
use store::{Clock, Instant, Random};
use testkit::TestDatabase;
use tonic::Status;
use uuid::Uuid;
use wire::{
    Reason, Transport,
    common::{Administrator, Caller, ScimClient, caller::Kind},
    identity::{
        self as proto, account_service_client::AccountServiceClient, console_service_client::ConsoleServiceClient,
        group_change::Change, identity_service_client::IdentityServiceClient,
        organization_service_client::OrganizationServiceClient,
    },
};

/// What URIs of resources begin with.
pub(crate) const BASE: &str = "https://scim.example.com/scim/v2";
pub(crate) const NOW: i64 = 1_763_900_000_000_000;

pub(crate) struct World {
    pub(crate) database: Arc<TestDatabase>,
    pub(crate) service: Service,
    pub(crate) identity: IdentityServiceClient<Transport>,
    pub(crate) organizations: OrganizationServiceClient<Transport>,
    pub(crate) console: ConsoleServiceClient<Transport>,
    pub(crate) accounts: AccountServiceClient<Transport>,
    set_ups: Arc<Mutex<Vec<Vec<u8>>>>,
    mailing: Option<Mailing>,
    now: Arc<AtomicI64>,
}

/// Runs a test on SQLite, then on PostgreSQL.
pub(crate) async fn on_both(test: impl AsyncFn(World)) {
    for database in testkit::databases() {
        let world = World::open(database).await;
        // Kept: the database goes after the service.
        let (database, service) = (Arc::clone(&world.database), world.service.clone());
        test(world).await;
        service.shutdown().await;
        drop(database);
    }
}

pub(crate) fn client() -> Option<Caller> {
    let token_id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    Some(Caller { kind: Some(Kind::ScimClient(proto_client(token_id))), request_id: "req-1".to_owned() })
}

fn proto_client(token_id: String) -> ScimClient {
    ScimClient { token_id, entry_id: String::new() }
}

pub(crate) fn administrator() -> Option<Caller> {
    let kind = Kind::Administrator(Administrator { name: "ada".to_owned() });
    Some(Caller { kind: Some(kind), request_id: "req-2".to_owned() })
}

pub(crate) fn sealing_key(byte: u8) -> SealingKeySource {
    Arc::new(move || Ok([byte; 32]))
}

fn opaque_set_ups(set_ups: &Arc<Mutex<Vec<Vec<u8>>>>) -> OpaqueSetUpSource {
    let set_ups = Arc::clone(set_ups);
    Arc::new(move || Ok(set_ups.lock().expect("set-ups").clone()))
}

/// One that nothing is registered with.
pub(crate) fn some_set_up() -> OpaqueSetUpSource {
    let set_up = new_opaque_set_up(&Random::system());
    Arc::new(move || Ok(vec![set_up.clone()]))
}

/// Why a call was refused, and what it says.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Status>) -> (Reason, String) {
    let refusal = wire::refusal(&result.expect_err("refused"));
    (refusal.reason, refusal.message)
}

pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T, Status>) -> Reason {
    refused(result).0
}

pub(crate) fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

/// A user body as Okta sends it.
pub(crate) fn kit(user_name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": user_name,
        "name": {"givenName": "Kit", "familyName": "Moor"},
        "emails": [{"primary": true, "value": user_name, "type": "work"}],
        "displayName": "Kit Moor",
        "locale": "en-US",
        "externalId": "00u1a2b3c4d5",
        "groups": [],
        "password": "correct horse battery staple",
        "active": true,
    })
}

pub(crate) fn operation(op: proto::PatchOp, path: &str, value: &Value) -> proto::PatchOperation {
    let value_json = if value.is_null() { Vec::new() } else { bytes(value) };
    proto::PatchOperation { op: op.into(), path: path.to_owned(), value_json: value_json.into() }
}

pub(crate) fn replace(path: &str, value: &Value) -> proto::PatchOperation {
    operation(proto::PatchOp::Replace, path, value)
}

pub(crate) fn ids(ids: &[&str]) -> proto::MemberIds {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.parse().expect("id")).collect();
    proto::MemberIds { ids: wire::ids::pack(&ids) }
}

pub(crate) fn member_ids(members: &[proto::Member]) -> Vec<String> {
    members.iter().map(|member| Uuid::from_slice(&member.id).expect("id").to_string()).collect()
}

pub(crate) fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

impl World {
    pub(crate) async fn open(database: TestDatabase) -> Self {
        Self::open_with(database, None).await
    }

    /// One that sends mail.
    pub(crate) async fn open_with(database: TestDatabase, mailing: Option<Mailing>) -> Self {
        let now = Arc::new(AtomicI64::new(NOW));
        let set_ups = Arc::new(Mutex::new(vec![new_opaque_set_up(&Random::system())]));
        let config = Config {
            database_url: database.url().to_owned(),
            pool_size: 8,
            sealing_key: sealing_key(7),
            opaque_set_ups: opaque_set_ups(&set_ups),
            mailing: mailing.clone(),
        };
        let service = Service::open(&config, clock(&now)).await.expect("open");
        let transport = Transport::in_process(service.routes());
        Self {
            database: Arc::new(database),
            service,
            identity: IdentityServiceClient::new(transport.clone())
                .max_decoding_message_size(wire::MAX_MESSAGE)
                .max_encoding_message_size(wire::MAX_MESSAGE),
            organizations: OrganizationServiceClient::new(transport.clone()),
            console: ConsoleServiceClient::new(transport.clone()),
            accounts: AccountServiceClient::new(transport),
            set_ups,
            mailing,
            now,
        }
    }

    /// A second process on the same database.
    pub(crate) async fn reopen(&self) -> Service {
        self.reopen_with(self.mailing.clone()).await
    }

    pub(crate) async fn reopen_with(&self, mailing: Option<Mailing>) -> Service {
        let config = Config {
            database_url: self.database.url().to_owned(),
            pool_size: 2,
            sealing_key: sealing_key(7),
            opaque_set_ups: opaque_set_ups(&self.set_ups),
            mailing,
        };
        Service::open(&config, clock(&self.now)).await.expect("open again")
    }

    /// A newer set-up for passwords that are registered from now on; without those before, if so.
    pub(crate) fn set_up_rotated(&self, forget: bool) {
        let mut set_ups = self.set_ups.lock().expect("set-ups");
        if forget {
            set_ups.clear();
        }
        set_ups.push(new_opaque_set_up(&Random::system()));
    }

    pub(crate) fn later(&self, micros: i64) {
        self.now.fetch_add(micros, Ordering::Relaxed);
    }

    /// The clock of its services.
    pub(crate) fn clock(&self) -> Clock {
        clock(&self.now)
    }

    pub(crate) fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.database.url().starts_with("sqlite:")
    }

    /// An organization on the enterprise plan with SCIM switched on.
    pub(crate) async fn organization(&self, slug: &str) -> String {
        let mut organizations = self.organizations.clone();
        let request = proto::CreateOrganizationRequest {
            caller: administrator(),
            slug: slug.to_owned(),
            name: slug.to_owned(),
            plan: "enterprise".to_owned(),
        };
        let id = organizations.create_organization(request).await.expect("create").into_inner().id;
        let enable =
            proto::SetScimEnabledRequest { caller: administrator(), organization_id: id.clone(), enabled: true };
        organizations.set_scim_enabled(enable).await.expect("enable");
        id
    }

    /// Lets the plan end now, without days of grace.
    pub(crate) async fn lapse(&self, org: &str) {
        let expires_at = Some(wire::to_timestamp(self.now()));
        let terms = proto::SetPlanRequest { expires_at, grace_days: Some(0), ..Default::default() };
        self.plan(org, terms).await;
    }

    /// The enterprise plan on these terms.
    pub(crate) async fn plan(&self, org: &str, terms: proto::SetPlanRequest) -> proto::Organization {
        let request = proto::SetPlanRequest {
            caller: administrator(),
            organization_id: org.to_owned(),
            plan: "enterprise".to_owned(),
            ..terms
        };
        self.organizations.clone().set_plan(request).await.expect("plan").into_inner()
    }

    pub(crate) async fn switch(&self, org: &str, enabled: bool) {
        let request =
            proto::SetScimEnabledRequest { caller: administrator(), organization_id: org.to_owned(), enabled };
        self.organizations.clone().set_scim_enabled(request).await.expect("switch");
    }

    pub(crate) async fn create(&self, org: &str, body: &Value) -> Result<proto::User, Status> {
        let request = proto::CreateUserRequest {
            organization_id: org.to_owned(),
            caller: client(),
            resource_json: bytes(body).into(),
            idempotency_key: None,
        };
        Ok(self.identity.clone().create_user(request).await?.into_inner())
    }

    pub(crate) async fn user(&self, org: &str, user_name: &str) -> proto::User {
        self.create(org, &kit(user_name)).await.expect("create")
    }

    pub(crate) async fn get(&self, org: &str, id: &str) -> Result<proto::User, Status> {
        let request =
            proto::GetUserRequest { organization_id: org.to_owned(), caller: client(), id: id.to_owned(), mask: None };
        Ok(self.identity.clone().get_user(request).await?.into_inner())
    }

    pub(crate) async fn put_if(
        &self,
        org: &str,
        id: &str,
        versions: Option<Vec<i64>>,
        body: &Value,
    ) -> Result<proto::User, Status> {
        let request = proto::ReplaceUserRequest {
            organization_id: org.to_owned(),
            caller: client(),
            id: id.to_owned(),
            if_match: versions.map(|versions| proto::Precondition { versions }),
            resource_json: bytes(body).into(),
            mask: None,
        };
        Ok(self.identity.clone().replace_user(request).await?.into_inner())
    }

    pub(crate) async fn put(&self, org: &str, id: &str, body: &Value) -> Result<proto::User, Status> {
        self.put_if(org, id, None, body).await
    }

    pub(crate) async fn patch(
        &self,
        org: &str,
        id: &str,
        operations: Vec<proto::PatchOperation>,
    ) -> Result<proto::User, Status> {
        let request = proto::PatchUserRequest {
            organization_id: org.to_owned(),
            caller: client(),
            id: id.to_owned(),
            if_match: None,
            operations,
            mask: None,
        };
        Ok(self.identity.clone().patch_user(request).await?.into_inner())
    }

    pub(crate) async fn delete(&self, org: &str, id: &str) -> Result<(), Status> {
        let request = proto::DeleteUserRequest {
            organization_id: org.to_owned(),
            caller: client(),
            id: id.to_owned(),
            if_match: None,
        };
        self.identity.clone().delete_user(request).await.map(drop)
    }

    pub(crate) async fn list_query(
        &self,
        org: &str,
        query: proto::ListQuery,
    ) -> Result<(Vec<proto::User>, i64), Status> {
        let request = proto::ListUsersRequest {
            organization_id: org.to_owned(),
            caller: client(),
            query: Some(query),
            mask: None,
        };
        let answer = self.identity.clone().list_users(request).await?.into_inner();
        Ok((answer.users, answer.total_results))
    }

    /// The userNames that a filter finds, sorted.
    pub(crate) async fn found(&self, org: &str, filter: &str) -> Result<Vec<String>, Status> {
        let query = all_of(filter);
        let (users, total) = self.list_query(org, query).await?;
        assert_eq!(total, i64::try_from(users.len()).expect("count"), "{filter}");
        Ok(sorted(users.into_iter().map(|user| user.user_name).collect()))
    }

    /// The ids of the groups that a filter finds, sorted.
    pub(crate) async fn found_groups(&self, org: &str, filter: &str) -> Result<Vec<String>, Status> {
        let request = proto::ListGroupsRequest {
            organization_id: org.to_owned(),
            caller: client(),
            query: Some(all_of(filter)),
            mask: None,
        };
        let groups = self.identity.clone().list_groups(request).await?.into_inner().groups;
        Ok(sorted(groups.into_iter().map(|group| group.id).collect()))
    }

    pub(crate) async fn group_with(
        &self,
        org: &str,
        display_name: &str,
        members: &[&str],
    ) -> Result<proto::Group, Status> {
        let request = proto::CreateGroupRequest {
            organization_id: org.to_owned(),
            caller: client(),
            resource_json: bytes(&group_body(display_name)).into(),
            members: Some(ids(members)),
            mask: Some(proto::GroupMask { members: 1000 }),
            idempotency_key: None,
        };
        Ok(self.identity.clone().create_group(request).await?.into_inner())
    }

    pub(crate) async fn group(&self, org: &str, display_name: &str, members: &[&str]) -> proto::Group {
        self.group_with(org, display_name, members).await.expect("create group")
    }

    /// With up to 1000 members.
    pub(crate) async fn get_group(&self, org: &str, id: &str) -> Result<proto::Group, Status> {
        let request = proto::GetGroupRequest {
            organization_id: org.to_owned(),
            caller: client(),
            id: id.to_owned(),
            mask: Some(proto::GroupMask { members: 1000 }),
        };
        Ok(self.identity.clone().get_group(request).await?.into_inner())
    }

    pub(crate) async fn members(&self, org: &str, id: &str) -> Vec<String> {
        member_ids(&self.get_group(org, id).await.expect("group").members)
    }

    pub(crate) async fn patch_group(&self, org: &str, id: &str, changes: Vec<Change>) -> Result<proto::Group, Status> {
        let request = proto::PatchGroupRequest {
            organization_id: org.to_owned(),
            caller: client(),
            id: id.to_owned(),
            if_match: None,
            changes: changes.into_iter().map(|change| proto::GroupChange { change: Some(change) }).collect(),
            mask: Some(proto::GroupMask { members: 1000 }),
            base_url: BASE.to_owned(),
        };
        Ok(self.identity.clone().patch_group(request).await?.into_inner())
    }

    /// Without an answer that shows members, as the gateway asks for.
    pub(crate) async fn patch_silently(
        &self,
        org: &str,
        id: &str,
        changes: Vec<Change>,
    ) -> Result<proto::Group, Status> {
        let request = proto::PatchGroupRequest {
            organization_id: org.to_owned(),
            caller: client(),
            id: id.to_owned(),
            if_match: None,
            changes: changes.into_iter().map(|change| proto::GroupChange { change: Some(change) }).collect(),
            mask: None,
            base_url: BASE.to_owned(),
        };
        Ok(self.identity.clone().patch_group(request).await?.into_inner())
    }

    /// `members` absent: they stay.
    pub(crate) async fn put_group(
        &self,
        org: &str,
        id: &str,
        display_name: &str,
        members: Option<&[&str]>,
    ) -> Result<proto::Group, Status> {
        let request = proto::ReplaceGroupRequest {
            organization_id: org.to_owned(),
            caller: client(),
            id: id.to_owned(),
            if_match: None,
            resource_json: bytes(&group_body(display_name)).into(),
            members: members.map(ids),
            mask: Some(proto::GroupMask { members: 1000 }),
        };
        Ok(self.identity.clone().replace_group(request).await?.into_inner())
    }

    pub(crate) async fn delete_group(&self, org: &str, id: &str) -> Result<(), Status> {
        let request = proto::DeleteGroupRequest {
            organization_id: org.to_owned(),
            caller: client(),
            id: id.to_owned(),
            if_match: None,
        };
        self.identity.clone().delete_group(request).await.map(drop)
    }

    pub(crate) async fn events_after(&self, org: &str, after: i64) -> Vec<proto::Event> {
        let request =
            proto::ListEventsRequest { organization_id: org.to_owned(), after_sequence: after, page_size: 1000 };
        self.identity.clone().list_events(request).await.expect("events").into_inner().events
    }

    /// All events, once there are this many.
    pub(crate) async fn events(&self, org: &str, at_least: usize) -> Vec<proto::Event> {
        for _ in 0..500 {
            let mut events = self.events_after(org, 0).await;
            while let Some(last) = events.last().filter(|_| events.len() % 1000 == 0) {
                let more = self.events_after(org, last.sequence).await;
                if more.is_empty() {
                    break;
                }
                events.extend(more);
            }
            if events.len() >= at_least {
                return events;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("fewer than {at_least} events after ten seconds: {:?}", self.events_after(org, 0).await);
    }
}

fn clock(now: &Arc<AtomicI64>) -> Clock {
    let now = Arc::clone(now);
    Clock::from_fn(move || Instant::from_micros(now.load(Ordering::Relaxed)))
}

fn all_of(filter: &str) -> proto::ListQuery {
    proto::ListQuery { filter: filter.to_owned(), count: Some(1000), base_url: BASE.to_owned(), ..Default::default() }
}

pub(crate) fn group_body(display_name: &str) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": display_name})
}

//! The same users and groups as an internal service reads them: over gRPC, with the administrator credential.
//!
//! Not here: writing. What SCIM wrote is compared field by field.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use testkit::{okta, process::Deployment};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use uuid::Uuid;
use wire::{
    Credential, Transport,
    common::{Caller, InternalService, caller::Kind},
    identity::{
        GetGroupRequest, GetUserRequest, GroupMask, ListGroupsOfUserRequest, ListMembersRequest, ListQuery,
        ListUsersRequest, LookUpUsersRequest, MemberType, User, UserMask,
        identity_service_client::IdentityServiceClient, look_up_users_request::Key,
    },
};

use crate::{forms::Organization, transcript::Transcript};

type Identity = IdentityServiceClient<Transport>;

/// Compares everything in an organization, read over SCIM and over gRPC.
///
/// # Errors
/// At the first difference, with both values.
pub async fn compare(deployment: &Deployment, organization: &Organization, transcript: &Transcript) -> Result<()> {
    transcript.step("Over gRPC (rollcall.identity.v1), as an internal service reads it");
    let url = deployment.grpc("identity")?;
    surroundings(&url, deployment, transcript).await?;
    let mut identity = IdentityServiceClient::new(transport(&url, &deployment.admin_credential()?).await?)
        .max_decoding_message_size(wire::MAX_MESSAGE);
    let users = all(organization, "Users").await?;
    let groups = all(organization, "Groups").await?;
    compare_list(&mut identity, organization, &users, transcript).await?;
    for scim in &users {
        compare_user(&mut identity, organization, scim).await?;
    }
    transcript.held(&format!("{} users: get, look up by name, externalId and e-mail, groups", users.len()));
    let mut members = 0;
    for scim in &groups {
        members += compare_group(&mut identity, organization, scim).await?;
    }
    transcript.held(&format!("{} groups with {members} members in pages", groups.len()));
    Ok(())
}

async fn transport(url: &str, credential: &str) -> Result<Transport> {
    let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
    Ok(Transport::network(channel, Credential::new(credential).context("the credential cannot stand in a header")?))
}

/// Health without a credential, reflection with it, and nothing else without it.
async fn surroundings(url: &str, deployment: &Deployment, transcript: &Transcript) -> Result<()> {
    let bare = Endpoint::from_shared(url.to_owned())?.connect().await?;
    for service in ["", "rollcall.identity.v1.IdentityService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let health = HealthClient::new(bare.clone()).check(request).await?.into_inner();
        transcript.same(&format!("health of {service:?}"), &health.status(), &ServingStatus::Serving)?;
    }
    for (name, channel) in [
        ("no", Transport::network(bare, Credential::new("").context("empty credential")?)),
        ("a wrong", transport(url, "wrong").await?),
    ] {
        let refused = IdentityServiceClient::new(channel).list_users(ListUsersRequest::default()).await;
        let code = refused.err().map(|status| status.code());
        transcript.same(&format!("with {name} credential"), &code, &Some(Code::Unauthenticated))?;
    }
    let mut reflection = ServerReflectionClient::new(transport(url, &deployment.admin_credential()?).await?);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = reflection.server_reflection_info(tokio_stream_once(request)).await?.into_inner();
    let answer = answers.message().await?.and_then(|answer| answer.message_response);
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { bail!("reflection lists no services") };
    let names: BTreeSet<String> = list.service.into_iter().map(|service| service.name).collect();
    for service in ["rollcall.identity.v1.IdentityService", "rollcall.identity.v1.OrganizationService"] {
        transcript.that(&format!("reflection names {service}"), names.contains(service))?;
    }
    Ok(())
}

fn tokio_stream_once<T>(item: T) -> impl futures::Stream<Item = T> {
    futures::stream::once(std::future::ready(item))
}

/// All resources of an endpoint, read over SCIM.
async fn all(organization: &Organization, endpoint: &str) -> Result<Vec<Value>> {
    let client = okta::client(&organization.scim_url, &organization.token)?;
    let mut resources = Vec::new();
    loop {
        let path = okta::page(endpoint, u64::try_from(resources.len())? + 1);
        let reply = client.send(http::Method::GET, &path, None).await?;
        ensure!(reply.status == 200, "GET {path}: {}", reply.status);
        let page = reply.json()?;
        let found = page["Resources"].as_array().cloned().unwrap_or_default();
        let end = found.is_empty();
        resources.extend(found);
        if end || Some(u64::try_from(resources.len())?) >= page["totalResults"].as_u64() {
            return Ok(resources);
        }
    }
}

fn caller() -> Option<Caller> {
    let kind = Kind::InternalService(InternalService { name: "e2e".to_owned() });
    Some(Caller { kind: Some(kind), request_id: "e2e".to_owned() })
}

async fn compare_list(
    identity: &mut Identity,
    organization: &Organization,
    users: &[Value],
    transcript: &Transcript,
) -> Result<()> {
    let mut found = BTreeSet::new();
    let mut start_index = 1;
    loop {
        let query = ListQuery { start_index, count: Some(50), ..ListQuery::default() };
        let request = ListUsersRequest {
            organization_id: organization.id.clone(),
            caller: caller(),
            query: Some(query),
            mask: Some(UserMask { omit_groups: true }),
        };
        let page = identity.list_users(request).await?.into_inner();
        ensure!(
            usize::try_from(page.total_results)? == users.len(),
            "total {} for {}",
            page.total_results,
            users.len()
        );
        if page.users.is_empty() {
            break;
        }
        start_index += i64::try_from(page.users.len())?;
        found.extend(page.users.into_iter().map(|user| user.id));
    }
    let expected: BTreeSet<String> = users.iter().filter_map(|user| user["id"].as_str().map(str::to_owned)).collect();
    transcript.same("list users: the same ids", &found, &expected)
}

fn differ(what: &str, scim: &Value, grpc: &Value) -> Result<()> {
    ensure!(scim == grpc, "{what} differs: SCIM {scim}, gRPC {grpc}");
    Ok(())
}

/// The value at a pointer, with `Null` for none.
fn at(value: &Value, pointer: &str) -> Value {
    value.pointer(pointer).cloned().unwrap_or(Value::Null)
}

async fn compare_user(identity: &mut Identity, organization: &Organization, scim: &Value) -> Result<()> {
    let id = scim["id"].as_str().context("a user without id")?;
    let request =
        GetUserRequest { organization_id: organization.id.clone(), caller: caller(), id: id.to_owned(), mask: None };
    let user = identity.get_user(request).await.with_context(|| format!("get user {id}"))?.into_inner();
    same_user(scim, &user).with_context(|| format!("user {id}"))?;

    let request =
        ListGroupsOfUserRequest { organization_id: organization.id.clone(), caller: caller(), user_id: id.to_owned() };
    let groups = identity.list_groups_of_user(request).await?.into_inner().groups;
    let grpc: BTreeSet<(String, bool)> = groups.into_iter().map(|group| (group.id, group.direct)).collect();
    let shown: BTreeSet<(String, bool)> = scim["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|group| Some((group["value"].as_str()?.to_owned(), group["type"] == "direct")))
        .collect();
    ensure!(shown == grpc, "groups of user {id} differ: SCIM {shown:?}, gRPC {grpc:?}");

    let mut keys = vec![Key::UserName(user.user_name.to_uppercase())];
    keys.extend(user.external_id.clone().map(Key::ExternalId));
    keys.extend((!user.primary_email.is_empty()).then(|| Key::Email(user.primary_email.to_uppercase())));
    for key in keys {
        let request = LookUpUsersRequest {
            organization_id: organization.id.clone(),
            caller: caller(),
            key: Some(key.clone()),
            mask: None,
        };
        let found = identity.look_up_users(request).await?.into_inner().users;
        ensure!(found.iter().any(|user| user.id == id), "user {id} is not found by {key:?}");
    }
    Ok(())
}

fn same_user(scim: &Value, user: &User) -> Result<()> {
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    differ("id", &scim["id"], &text(&user.id))?;
    differ("userName", &scim["userName"], &text(&user.user_name))?;
    differ("externalId", &at(scim, "/externalId"), &Value::from(user.external_id.clone()))?;
    differ("active", &at(scim, "/active"), &Value::from(user.active))?;
    differ("displayName", &at(scim, "/displayName"), &text(&user.display_name))?;
    let emails = at(scim, "/emails");
    let emails = emails.as_array().map(Vec::as_slice).unwrap_or_default();
    let primary = emails.iter().find(|email| email["primary"] == true).or(emails.first());
    differ("primary e-mail", &primary.map_or(Value::Null, |email| email["value"].clone()), &text(&user.primary_email))?;
    let tag = format!("W/\"{}", user.version);
    ensure!(
        scim["meta"]["version"].as_str().is_some_and(|version| version.starts_with(&tag)),
        "version differs: SCIM {}, gRPC {}",
        scim["meta"]["version"],
        user.version
    );
    let mut resource = scim.clone();
    if let Some(object) = resource.as_object_mut() {
        for served in ["id", "meta", "groups"] {
            object.remove(served);
        }
    }
    differ("the resource", &resource, &serde_json::from_slice(&user.resource_json)?)
}

/// The number of members.
async fn compare_group(identity: &mut Identity, organization: &Organization, scim: &Value) -> Result<usize> {
    let id = scim["id"].as_str().context("a group without id")?;
    let request = GetGroupRequest {
        organization_id: organization.id.clone(),
        caller: caller(),
        id: id.to_owned(),
        mask: Some(GroupMask { members: 0 }),
    };
    let group = identity.get_group(request).await?.into_inner();
    differ("displayName", &scim["displayName"], &Value::from(group.display_name.clone()))?;
    differ("externalId", &at(scim, "/externalId"), &Value::from(group.external_id.clone()))?;
    ensure!(group.members.is_empty(), "members came although none were asked for");

    let client = okta::client(&organization.scim_url, &organization.token)?;
    let whole = client.send(http::Method::GET, &format!("/Groups/{id}"), None).await?.json()?;
    let shown: BTreeSet<(String, bool)> = whole["members"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|member| Some((member["value"].as_str()?.to_owned(), member["type"] == "User")))
        .collect();
    let mut grpc = BTreeSet::new();
    let mut page_token = String::new();
    loop {
        let request = ListMembersRequest {
            organization_id: organization.id.clone(),
            caller: caller(),
            group_id: id.to_owned(),
            page_size: 10,
            page_token,
        };
        let page = identity.list_members(request).await?.into_inner();
        for member in page.members {
            let id = Uuid::from_slice(&member.id)?.to_string();
            ensure!(grpc.insert((id.clone(), member.r#type() == MemberType::User)), "member {id} came twice");
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    ensure!(shown == grpc, "members of group {id} differ: SCIM {shown:?}, gRPC {grpc:?}");
    Ok(grpc.len())
}

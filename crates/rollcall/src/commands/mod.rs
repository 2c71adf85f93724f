//! The administrative commands: one or two calls each, and how their answers look.

mod org;
mod schema;
mod scim;
mod token;

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};
use tonic::{Code, Status};
use wire::{
    Reason, Transport,
    common::{Administrator, Caller, caller::Kind},
    identity::{
        GetOrganizationRequest, Organization, get_organization_request::Key,
        organization_service_client::OrganizationServiceClient,
    },
};

pub(crate) use self::{org::run as org, schema::run as schema, scim::run as scim, token::run as token};

/// The events of what a command changes say that the command line did it, and which run of it.
fn caller() -> anyhow::Result<Option<Caller>> {
    let run = getrandom::u64().context("the operating system gives no randomness")?;
    let kind = Kind::Administrator(Administrator { name: "command line".to_owned() });
    Ok(Some(Caller { kind: Some(kind), request_id: format!("cli-{run:016x}") }))
}

/// What a refused call says to a person.
fn refused(status: &Status) -> anyhow::Error {
    if status.code() == Code::Unavailable {
        return anyhow::anyhow!(
            "the server cannot be reached; check that it runs and that --identity-url and --token-url, if given, \
             are right"
        );
    }
    let refusal = wire::refusal(status);
    match refusal.reason {
        Reason::CredentialInvalid => anyhow::anyhow!(
            "the server does not accept this admin credential; give that of the server with --data-dir or \
             --admin-credential-file"
        ),
        _ => anyhow::anyhow!(refusal.message),
    }
}

/// By slug or id. A slug may look like an id.
async fn organization(
    client: &mut OrganizationServiceClient<Transport>,
    slug_or_id: &str,
) -> anyhow::Result<Organization> {
    let slug = Key::Slug(slug_or_id.to_owned());
    let keys = match slug_or_id.parse::<uuid::Uuid>() {
        Ok(id) => vec![Key::Id(id.to_string()), slug],
        Err(_) => vec![slug],
    };
    let mut last = None;
    for key in keys {
        match client.get_organization(GetOrganizationRequest { key: Some(key) }).await {
            Ok(found) => return Ok(found.into_inner()),
            Err(status) if wire::refusal(&status).reason == Reason::OrganizationNotFound => last = Some(status),
            Err(status) => return Err(refused(&status)),
        }
    }
    let _ = last;
    anyhow::bail!("there is no organization {slug_or_id:?}; `rollcall org list` shows all")
}

fn organization_json(organization: &Organization) -> Value {
    json!({
        "id": organization.id,
        "slug": organization.slug,
        "name": organization.name,
        "plan": organization.plan,
        "plan_expires_at": instant(organization.plan_expires_at.as_ref()),
        "scim_entitled": organization.scim_entitled,
        "scim_enabled": organization.scim_enabled,
        "requests_per_second": organization.requests_per_second,
        "created_at": instant(organization.created_at.as_ref()),
        "modified_at": instant(organization.modified_at.as_ref()),
    })
}

fn organization_text(organization: &Organization) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:14}{}", value.replace(char::is_control, "\u{fffd}"));
    };
    line("Organization", &organization.slug);
    line("Name", &organization.name);
    line("Id", &organization.id);
    line("Plan", &plan_text(organization));
    line("SCIM", if organization.scim_enabled { "enabled" } else { "disabled" });
    line("Rate limit", &limit_text(organization));
    out
}

fn plan_text(organization: &Organization) -> String {
    match instant(organization.plan_expires_at.as_ref()) {
        None => organization.plan.clone(),
        Some(at) => format!("{} (ends {at})", organization.plan),
    }
}

fn limit_text(organization: &Organization) -> String {
    match organization.requests_per_second {
        None => "default".to_owned(),
        Some(0) => "unlimited".to_owned(),
        Some(limit) => format!("{limit} requests a second"),
    }
}

/// RFC 3339, UTC.
fn instant(timestamp: Option<&prost_types::Timestamp>) -> Option<String> {
    let micros = wire::from_timestamp(timestamp?);
    jiff::Timestamp::from_microsecond(micros).ok().map(|at| at.to_string())
}

//! The administrative commands: one or two calls each, and how their answers look.

mod account;
mod admin;
mod confirm_agent;
mod hold;
mod log;
mod mail;
mod oauth;
mod org;
mod schema;
mod scim;
mod service;
mod sign_in;
mod token;
mod user;

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

pub(crate) use self::{
    account::run as account, admin::run as admin, confirm_agent::run as confirm_agent, hold::run as hold,
    log::run as log, mail::run as mail, oauth::run as oauth, org::run as org, schema::run as schema, scim::run as scim,
    service::run as service, sign_in::run as sign_in, token::run as token, user::run as user,
};
use crate::settings::Settings;

/// The events of what a command changes say that the command line did it, and which run of it.
fn caller() -> anyhow::Result<Option<Caller>> {
    let run = getrandom::u64().context("the operating system gives no randomness")?;
    let kind = Kind::Administrator(Administrator { name: "command line".to_owned() });
    Ok(Some(Caller { kind: Some(kind), request_id: format!("cli-{run:016x}") }))
}

/// What a refused call says to a person.
fn refused(status: &Status) -> anyhow::Error {
    let mut causes = std::iter::successors(std::error::Error::source(status), |cause| cause.source());
    if let Some(cause) = causes.find(|cause| cause.to_string().contains("certificate")) {
        return anyhow::anyhow!(
            "the server's certificate is not accepted ({cause}); give --grpc-ca the CA that signed it, and check the name in \
             --identity-url and --token-url"
        );
    }
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

/// What a SCIM URL is where none is known.
const URL_UNKNOWN: &str = "(the gateway's --public-url, then /scim/v2; with --public-url this command shows it)";

#[expect(clippy::disallowed_methods, reason = "tells a person what has expired or ended by now")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// By slug or id. A slug may look like an id.
async fn organization(
    settings: &Settings,
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
    anyhow::bail!("there is no organization {slug_or_id:?}; `{}` shows all", settings.command("org list"))
}

fn organization_json(organization: &Organization) -> Value {
    json!({
        "id": organization.id,
        "slug": organization.slug,
        "name": organization.name,
        "plan": organization.plan,
        "plan_expires_at": instant(organization.plan_expires_at.as_ref()),
        "plan_grace_ends_at": instant(organization.plan_grace_ends_at.as_ref()),
        "max_users": organization.max_users,
        "users": organization.users,
        "scim_entitled": organization.scim_entitled,
        "oauth_entitled": organization.oauth_entitled,
        "scim_enabled": organization.scim_enabled,
        "requests_per_second": organization.requests_per_second,
        "deletion_grace_days": organization.deletion_grace_days,
        "hold_percent": organization.hold_percent,
        "created_at": instant(organization.created_at.as_ref()),
        "modified_at": instant(organization.modified_at.as_ref()),
    })
}

fn organization_text(settings: &Settings, organization: &Organization) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:14}{}", value.replace(char::is_control, "\u{fffd}"));
    };
    line("Organization", &organization.slug);
    line("Name", &organization.name);
    line("Id", &organization.id);
    line("Plan", &plan_text(organization, now()));
    if let Some(most) = organization.max_users {
        let users = organization.users.map(|users| format!("{users} of "));
        line("Users", &format!("{}{most} that the plan is for", users.unwrap_or_default()));
    }
    line("SCIM", if organization.scim_enabled { "enabled" } else { "disabled" });
    line("OAuth", if organization.oauth_entitled { "part of the plan" } else { "not part of the plan" });
    line("Rate limit", &limit_text(organization));
    let held = match organization.hold_percent {
        0 => String::new(),
        percent => format!("; held where more than {percent} % lose their access within an hour"),
    };
    line("Deleted", &format!("restorable for {} days{held}", organization.deletion_grace_days));
    if let Some(notice) = plan_notice(settings, organization, now()) {
        out.push_str(&notice);
        out.push('\n');
    }
    out
}

/// What a plan that has ended, or that is full, means, and what to do.
fn plan_notice(settings: &Settings, organization: &Organization, now: jiff::Timestamp) -> Option<String> {
    let ended =
        |end: Option<&prost_types::Timestamp>| end.is_some_and(|end| wire::from_timestamp(end) <= now.as_microsecond());
    let (end, grace) = (organization.plan_expires_at.as_ref(), organization.plan_grace_ends_at.as_ref());
    if ended(grace) {
        return Some(format!(
            "The plan has ended: nothing can be created or changed, only read, deactivated and deleted. {}",
            renewal(settings, &organization.slug, organization.max_users)
        ));
    }
    if ended(end) {
        return Some(format!(
            "The plan has ended. All still works until {}; then creating and changing is refused. {}",
            instant(grace).unwrap_or_default(),
            renewal(settings, &organization.slug, organization.max_users)
        ));
    }
    match (organization.users, organization.max_users) {
        (Some(users), Some(most)) if users >= most => Some(format!(
            "The plan is full: creating users is refused, all else works. Delete users, or raise --max-users. {}",
            renewal(settings, &organization.slug, organization.max_users)
        )),
        _ => None,
    }
}

fn plan_text(organization: &Organization, now: jiff::Timestamp) -> String {
    let plan = &organization.plan;
    let Some(expires_at) = organization.plan_expires_at.as_ref() else { return plan.clone() };
    let ends = if wire::from_timestamp(expires_at) <= now.as_microsecond() { "ended" } else { "ends" };
    format!("{plan} ({ends} {})", instant(Some(expires_at)).unwrap_or_default())
}

/// What to do about a plan without SCIM. What it is for besides is kept.
fn renewal(settings: &Settings, slug: &str, max_users: Option<u64>) -> String {
    let most = max_users.map(|most| format!(" --max-users {most}")).unwrap_or_default();
    format!("Change it: {}", settings.command(&format!("org plan {slug} --plan enterprise{most}")))
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

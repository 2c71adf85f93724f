//! SCIM Configuration: the switch, the SCIM URL, and the way to tokens, OAuth clients and guides.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use wire::identity::SetScimEnabledRequest;

use super::{guides, scim_shell, see, tokens};
use crate::{
    form::Form,
    page::{self, Shell},
    problem::Result,
    session::{Role, SignedIn},
    time::{When, instant},
};

#[derive(Template)]
#[template(path = "scim.html")]
struct Scim {
    shell: Shell,
    enabled: bool,
    entitled: bool,
    oauth: bool,
    plan: String,
    plan_ended: Option<When>,
    grace_ends: Option<When>,
    may_change: bool,
    scim_url: String,
    valid_tokens: usize,
    last_used: Option<When>,
    guides: &'static [guides::Guide],
}

/// `GET scim`
pub(crate) async fn show(signed_in: SignedIn) -> Result<Response> {
    let organization = &signed_in.organization;
    let now = signed_in.visit.console.now();
    let tokens = tokens::all(&signed_in).await?;
    let last_used = tokens.iter().filter_map(|token| instant(token.last_used_at.as_ref())).max();
    let rows = tokens.into_iter().map(|token| tokens::TokenRow::new(token, now));
    let page = Scim {
        shell: scim_shell(&signed_in, "SCIM Configuration"),
        enabled: organization.scim_enabled,
        entitled: organization.scim_entitled,
        oauth: organization.oauth_entitled,
        plan: organization.plan.clone(),
        plan_ended: instant(organization.plan_expires_at.as_ref()).filter(|at| *at <= now).map(|at| When::new(at, now)),
        grace_ends: When::of(organization.plan_grace_ends_at.as_ref(), now),
        may_change: signed_in.role >= Role::Admin,
        scim_url: signed_in.visit.console.site.scim_url(),
        valid_tokens: rows.filter(|token| token.valid).count(),
        last_used: last_used.map(|at| When::new(at, now)),
        guides: guides::GUIDES,
    };
    page::html(StatusCode::OK, &page)
}

/// `POST scim/enabled`
pub(crate) async fn switch(signed_in: SignedIn, form: Form) -> Result<Response> {
    let enabled = form.get("enabled") == "true";
    let request =
        SetScimEnabledRequest { caller: signed_in.caller(), organization_id: signed_in.organization_id(), enabled };
    signed_in.visit.console.clients.organizations.clone().set_scim_enabled(signed_in.call(request)).await?;
    see(&signed_in, "scim", if enabled { "scim-on" } else { "scim-off" })
}

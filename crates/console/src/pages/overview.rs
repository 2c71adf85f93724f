//! Overview: the organization, how many users and groups it has, and what wants attention.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use wire::{
    identity::{ListGroupsRequest, ListQuery, ListUsersRequest},
    token::ListOAuthGrantsRequest,
};

use super::{
    accounts::{self, Count},
    agents::{self, KeyDue},
    chart::{self, Chart},
    holds::{self, Held},
    tokens::{self, TokenRow},
};
use crate::{
    page::{self, Section, Shell},
    problem::Result,
    session::{Role, SignedIn},
    time::{When, instant},
};

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    shell: Shell,
    name: String,
    slug: String,
    plan: String,
    plan_ends: Option<When>,
    scim_enabled: bool,
    scim_entitled: bool,
    users: String,
    max_users: Option<String>,
    groups: String,
    states: Vec<Count>,
    last_contact: Option<When>,
    /// They wait for a decision.
    holds: Vec<Held>,
    chart: Option<Chart>,
    /// Valid ones that expire soon, or were rotated and not retired.
    attention: Vec<TokenRow>,
    no_token: bool,
    no_provider: bool,
    key_due: Option<KeyDue>,
    /// Of members, where it is made.
    account_root: String,
    may_change: bool,
    /// Something bad stands above.
    warned: bool,
}

/// `GET /console`
pub(crate) async fn show(signed_in: SignedIn) -> Result<Response> {
    let organization = &signed_in.organization;
    let now = signed_in.visit.console.now();
    let clients = &signed_in.visit.console.clients;
    let count = ListGroupsRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        query: Some(ListQuery { count: Some(0), ..ListQuery::default() }),
        mask: None,
    };
    let count_users = ListUsersRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        query: Some(ListQuery { count: Some(0), ..ListQuery::default() }),
        mask: None,
    };
    let grants = ListOAuthGrantsRequest { organization_id: signed_in.organization_id() };
    let (mut identity, mut users, mut oauth) =
        (clients.identity.clone(), clients.identity.clone(), clients.oauth.clone());
    let provider = super::provider::of(&signed_in);
    let (users, groups, tokens, grants, provider, holds, chart, states, key_due) = futures::join!(
        users.list_users(signed_in.call(count_users)),
        identity.list_groups(signed_in.call(count)),
        tokens::all(&signed_in),
        oauth.list_o_auth_grants(signed_in.call(grants)),
        provider,
        holds::open(&signed_in),
        chart::of(&signed_in),
        accounts::counts(&signed_in, None),
        agents::key_due(&signed_in),
    );
    let (tokens, grants) = (tokens?, grants?.into_inner().grants);
    let used = tokens.iter().map(|token| token.last_used_at.as_ref());
    let last = used.chain(grants.iter().map(|grant| grant.last_used_at.as_ref())).filter_map(instant).max();
    let rows: Vec<_> = tokens.into_iter().map(|token| TokenRow::new(token, now)).filter(|token| token.valid).collect();
    let (holds, chart) = (holds?, chart?);
    let page = Overview {
        warned: !holds.is_empty() || chart.as_ref().is_some_and(|chart| chart.failing.is_some()),
        shell: Shell::new(&signed_in, Section::Overview, "Overview"),
        name: organization.name.clone(),
        slug: organization.slug.clone(),
        plan: organization.plan.clone(),
        plan_ends: When::of(organization.plan_expires_at.as_ref(), now),
        scim_enabled: organization.scim_enabled,
        scim_entitled: organization.scim_entitled,
        users: grouped(u64::try_from(users?.into_inner().total_results).unwrap_or_default()),
        max_users: organization.max_users.map(grouped),
        states: states?,
        groups: grouped(u64::try_from(groups?.into_inner().total_results).unwrap_or_default()),
        last_contact: last.map(|at| When::new(at, now)),
        holds,
        chart,
        no_token: rows.is_empty() && grants.iter().all(|grant| grant.revoked_at.is_some()),
        attention: rows.into_iter().filter(|token| token.tone != "good").collect(),
        no_provider: provider?.is_none(),
        key_due: key_due?,
        account_root: signed_in.visit.console.site.account_root.clone(),
        may_change: signed_in.role >= Role::Admin,
    };
    page::html(StatusCode::OK, &page)
}

/// 1234567 as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(super::grouped(number), text);
        }
    }
}

//! SCIM tokens: list, create, rotate, retire, revoke.

use askama::Template;
use axum::{extract::Path, response::Response};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use wire::token::{
    CreateScimTokenRequest, GetTokenPolicyRequest, ListScimTokensRequest, RetireScimTokenRequest,
    RevokeScimTokenRequest, RotateScimTokenRequest, ScimToken, TokenPolicy,
};

use super::{Confirm, Line, Secret, administrators, made_before, said, scim_shell, see, status, who::administrator};
use crate::{
    form::Form,
    page::{self, Shell},
    problem::{Problem, Result},
    session::{Role, SignedIn},
    time::{When, instant},
};

const BACK: (&str, &str) = ("scim/tokens", "SCIM tokens");
const DAY: i64 = 86_400;
/// A token that expires sooner is told of.
pub(super) const SOON: i64 = 30 * DAY;
const LONGEST: u32 = 3650;
const USUAL: u32 = 365;

/// Names, and what they mean here.
const SCOPES: [(&str, &str); 4] = [
    ("users:read", "look users up"),
    ("users:write", "create, change and remove users"),
    ("groups:read", "look groups up"),
    ("groups:write", "create, change and remove groups"),
];

#[derive(Template)]
#[template(path = "tokens.html")]
struct Tokens {
    shell: Shell,
    tokens: Vec<TokenRow>,
    may_change: bool,
}

/// A token as its list shows it.
pub(super) struct TokenRow {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    pub(super) advice: Option<&'static str>,
    pub(super) valid: bool,
    pub(super) rotated: bool,
    pub(super) last_used: Option<When>,
    pub(super) address: String,
    pub(super) agent: String,
    pub(super) expires: Option<When>,
    pub(super) scopes: String,
    pub(super) cidrs: String,
    pub(super) created: Option<When>,
    pub(super) created_by: String,
}

impl TokenRow {
    pub(super) fn new(token: ScimToken, now: Timestamp) -> Self {
        let expires = instant(token.expires_at.as_ref());
        let rotated = !token.successor_id.is_empty();
        let left = expires.map(|at| at.as_second() - now.as_second());
        let (state, tone, advice) = if token.revoked_at.is_some() {
            ("revoked", "plain", None)
        } else if left.is_some_and(|left| left <= 0) {
            ("expired", "bad", Some("Whoever shows it is refused. Create another one."))
        } else if rotated && token.successor_used {
            ("rotated", "warn", Some("Its successor is in use: retire this one."))
        } else if rotated {
            (
                "rotated",
                "warn",
                Some(
                    "Its successor has not been used yet. Paste that into the provider and test the connection, then retire this one.",
                ),
            )
        } else if left.is_some_and(|left| left < SOON) {
            ("expires soon", "warn", Some("Rotate it in time: no request is refused meanwhile."))
        } else {
            ("valid", "good", None)
        };
        Self {
            state,
            tone,
            advice,
            valid: token.revoked_at.is_none() && left.is_none_or(|left| left > 0),
            rotated,
            last_used: When::of(token.last_used_at.as_ref(), now),
            expires: expires.map(|at| When::new(at, now)),
            created: When::of(token.created_at.as_ref(), now),
            scopes: may(&token.scopes),
            cidrs: token.allowed_cidrs.join(", "),
            id: token.id,
            description: token.description,
            address: token.last_used_address,
            agent: token.last_used_user_agent,
            created_by: administrator(token.created_by),
        }
    }
}

pub(super) async fn all(signed_in: &SignedIn) -> Result<Vec<ScimToken>> {
    let request = ListScimTokensRequest { organization_id: signed_in.organization_id() };
    let mut client = signed_in.visit.console.clients.tokens.clone();
    Ok(client.list_scim_tokens(signed_in.call(request)).await?.into_inner().tokens)
}

async fn one(signed_in: &SignedIn, id: &str) -> Result<TokenRow> {
    let token = all(signed_in).await?.into_iter().find(|token| token.id == id).ok_or_else(Problem::not_found)?;
    Ok(TokenRow::new(token, signed_in.visit.console.now()))
}

/// `GET scim/tokens`
pub(crate) async fn list(signed_in: SignedIn) -> Result<Response> {
    let now = signed_in.visit.console.now();
    let mut tokens: Vec<_> = all(&signed_in).await?.into_iter().map(|token| TokenRow::new(token, now)).collect();
    tokens.sort_by_key(|token| !token.valid);
    let may_change = signed_in.role >= Role::Admin;
    page::html(StatusCode::OK, &Tokens { shell: scim_shell(&signed_in, "SCIM tokens"), tokens, may_change })
}

/// How long new ones may live.
struct Lifetimes {
    shortest: u32,
    longest: u32,
    usual: u32,
    hint: String,
}

async fn lifetimes(signed_in: &SignedIn) -> Result<Lifetimes> {
    let request = GetTokenPolicyRequest { organization_id: signed_in.organization_id() };
    let mut client = signed_in.visit.console.clients.tokens.clone();
    let (policy, mailed) =
        futures::join!(client.get_token_policy(signed_in.call(request)), administrators::are_mailed(signed_in));
    let policy: TokenPolicy = policy?.into_inner();
    let longest = policy.max_ttl_days.unwrap_or(LONGEST);
    let mut hint = match policy.max_ttl_days {
        Some(days) => format!("Your organization's policy allows at most {days}."),
        None => format!("At most {LONGEST}."),
    };
    if policy.allow_never {
        hint.push_str(" 0: it never expires.");
    }
    hint.push_str(if mailed? {
        " Owners and admins get a mail 30, 7 and 1 day before."
    } else {
        " The overview says so from 30 days before on; no mail is sent."
    });
    Ok(Lifetimes { shortest: u32::from(!policy.allow_never), longest, usual: USUAL.min(longest), hint })
}

pub(super) struct ScopeBox {
    pub(super) name: &'static str,
    pub(super) means: &'static str,
    pub(super) chosen: bool,
}

/// Empty: everything.
pub(super) fn may(scopes: &[String]) -> String {
    if scopes.len() == SCOPES.len() { String::new() } else { scopes.join(", ") }
}

/// `chosen`: None before anything was.
pub(super) fn scope_boxes(chosen: Option<&[String]>) -> Vec<ScopeBox> {
    let box_of = |(name, means): (&'static str, &'static str)| ScopeBox {
        name,
        means,
        chosen: chosen.is_none_or(|chosen| chosen.iter().any(|scope| scope == name)),
    };
    SCOPES.map(box_of).into()
}

/// None chosen is a mistake; all are what the services call none.
pub(super) fn chosen_scopes(form: &Form) -> Result<Vec<String>, String> {
    let chosen = form.all("scope");
    if chosen.is_empty() {
        return Err("Choose at least one thing that it may do.".to_owned());
    }
    Ok(if chosen.len() == SCOPES.len() { Vec::new() } else { chosen })
}

/// Empty: as the service has it by default.
fn days(form: &Form) -> Result<Option<u32>, String> {
    match form.get("ttl_days") {
        "" => Ok(None),
        days => days.parse().map(Some).map_err(|_| "Days until it expires: give a whole number.".to_owned()),
    }
}

#[derive(Template)]
#[template(path = "token_new.html")]
struct New {
    shell: Shell,
    error: Option<String>,
    description: String,
    shortest: u32,
    longest: u32,
    ttl_days: String,
    ttl_hint: String,
    scopes: Vec<ScopeBox>,
    cidrs: String,
}

async fn new_page(signed_in: &SignedIn, form: Option<&Form>, error: Option<String>) -> Result<Response> {
    let lifetimes = lifetimes(signed_in).await?;
    let given = |name: &str| form.map(|form| form.get(name).to_owned());
    let new = New {
        shell: scim_shell(signed_in, "Create a SCIM token"),
        description: given("description").unwrap_or_default(),
        ttl_days: given("ttl_days").unwrap_or_else(|| lifetimes.usual.to_string()),
        scopes: scope_boxes(form.map(|form| form.all("scope")).as_deref()),
        cidrs: given("cidrs").unwrap_or_default(),
        shortest: lifetimes.shortest,
        longest: lifetimes.longest,
        ttl_hint: lifetimes.hint,
        error,
    };
    page::html(status(new.error.as_ref()), &new)
}

/// `GET scim/tokens/new`
pub(crate) async fn new(signed_in: SignedIn) -> Result<Response> {
    new_page(&signed_in, None, None).await
}

/// `POST scim/tokens`
pub(crate) async fn create(signed_in: SignedIn, form: Form) -> Result<Response> {
    if let Some(response) = made_before(&signed_in, &form, BACK.0)? {
        return Ok(response);
    }
    let read = chosen_scopes(&form).and_then(|scopes| Ok((scopes, days(&form)?)));
    let (scopes, ttl_days) = match read {
        Ok(read) => read,
        Err(wrong) => return new_page(&signed_in, Some(&form), Some(wrong)).await,
    };
    let request = CreateScimTokenRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        description: form.get("description").to_owned(),
        ttl_days,
        scopes,
        allowed_cidrs: form.lines("cidrs"),
    };
    let mut client = signed_in.visit.console.clients.tokens.clone();
    match client.create_scim_token(signed_in.call(request)).await {
        Ok(created) => {
            let steps = vec![
                "Copy the token and the SCIM URL into your identity provider. The connection guides show which box is which.".to_owned(),
                "Test the connection there.".to_owned(),
                "Come back: the list of tokens shows when and from where it was used.".to_owned(),
            ];
            secret(&signed_in, "Your new SCIM token", created.into_inner().secret, steps).answer(&signed_in, &form)
        }
        Err(status) => new_page(&signed_in, Some(&form), Some(said(status.into())?)).await,
    }
}

fn secret(signed_in: &SignedIn, title: &str, secret: String, steps: Vec<String>) -> Secret {
    let value = signed_in.visit.console.site.scim_url();
    Secret {
        shell: scim_shell(signed_in, title),
        back: BACK,
        what: "SCIM token",
        secret,
        beside: vec![Line { id: "scim-url", label: "SCIM URL", value }],
        steps,
    }
}

#[derive(Template)]
#[template(path = "token_rotate.html")]
struct Rotate {
    shell: Shell,
    error: Option<String>,
    token: TokenRow,
    shortest: u32,
    longest: u32,
    ttl_days: String,
    ttl_hint: String,
}

async fn rotate_page(signed_in: &SignedIn, id: &str, error: Option<String>) -> Result<Response> {
    let (token, lifetimes) = (one(signed_in, id).await?, lifetimes(signed_in).await?);
    let rotate = Rotate {
        shell: scim_shell(signed_in, "Rotate a SCIM token"),
        token,
        shortest: lifetimes.shortest,
        longest: lifetimes.longest,
        ttl_days: lifetimes.usual.to_string(),
        ttl_hint: lifetimes.hint,
        error,
    };
    page::html(status(rotate.error.as_ref()), &rotate)
}

/// `GET scim/tokens/{id}/rotate`
pub(crate) async fn rotating(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    rotate_page(&signed_in, &id, None).await
}

/// `POST scim/tokens/{id}/rotate`
pub(crate) async fn rotate(signed_in: SignedIn, Path(id): Path<String>, form: Form) -> Result<Response> {
    if let Some(response) = made_before(&signed_in, &form, BACK.0)? {
        return Ok(response);
    }
    let ttl_days = match days(&form) {
        Ok(days) => days,
        Err(wrong) => return rotate_page(&signed_in, &id, Some(wrong)).await,
    };
    let request = RotateScimTokenRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: id.clone(),
        ttl_days,
        deadline: deadline(&signed_in, &form),
    };
    let mut client = signed_in.visit.console.clients.tokens.clone();
    match client.rotate_scim_token(signed_in.call(request)).await {
        Ok(rotated) => {
            let steps = vec![
                "Paste the new token into your identity provider, in place of the old one.".to_owned(),
                "Test the connection there. The old token is valid meanwhile.".to_owned(),
                "Come back to the list of tokens and retire the old one, once it says that the successor is in use."
                    .to_owned(),
            ];
            secret(&signed_in, "The new SCIM token", rotated.into_inner().secret, steps).answer(&signed_in, &form)
        }
        Err(status) => rotate_page(&signed_in, &id, Some(said(status.into())?)).await,
    }
}

/// How long what is replaced stays valid.
pub(super) fn deadline(signed_in: &SignedIn, form: &Form) -> Option<prost_types::Timestamp> {
    let hours: i64 = form.get("deadline_hours").parse().ok().filter(|hours| (1..=24 * 365).contains(hours))?;
    let at = signed_in.visit.console.now().checked_add(SignedDuration::from_hours(hours)).ok()?;
    Some(wire::to_timestamp(at.as_microsecond()))
}

async fn retire_page(signed_in: &SignedIn, id: &str, error: Option<String>) -> Result<Response> {
    let token = one(signed_in, id).await?;
    let successor_unused = token.rotated && !token.advice.is_some_and(|advice| advice.contains("is in use"));
    let page = Confirm {
        shell: scim_shell(signed_in, "Retire the old SCIM token"),
        back: BACK,
        action: format!("scim/tokens/{id}/retire"),
        subject: format!("Token: {}", token.description),
        consequence: "It was rotated. Once it is retired, whoever still shows it is refused within a second.",
        button: "Retire token",
        force: successor_unused.then_some("Retire it although its successor has not been used yet"),
        error,
    };
    page::html(status(page.error.as_ref()), &page)
}

/// `GET scim/tokens/{id}/retire`
pub(crate) async fn retiring(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    retire_page(&signed_in, &id, None).await
}

/// `POST scim/tokens/{id}/retire`
pub(crate) async fn retire(signed_in: SignedIn, Path(id): Path<String>, form: Form) -> Result<Response> {
    let request = RetireScimTokenRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        id: id.clone(),
        force: form.get("force") == "true",
    };
    let mut client = signed_in.visit.console.clients.tokens.clone();
    match client.retire_scim_token(signed_in.call(request)).await {
        Ok(_) => see(&signed_in, BACK.0, "token-retired"),
        Err(status) => retire_page(&signed_in, &id, Some(said(status.into())?)).await,
    }
}

/// `GET scim/tokens/{id}/revoke`
pub(crate) async fn revoking(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let token = one(&signed_in, &id).await?;
    let page = Confirm {
        shell: scim_shell(&signed_in, "Revoke a SCIM token"),
        back: BACK,
        action: format!("scim/tokens/{id}/revoke"),
        subject: format!("Token: {}", token.description),
        consequence: "Within a second, whoever shows it is refused: people who leave are not deactivated until another token is in \
                      place. This cannot be taken back. To change a token without a request refused, rotate it instead.",
        button: "Revoke token",
        force: None,
        error: None,
    };
    page::html(StatusCode::OK, &page)
}

/// `POST scim/tokens/{id}/revoke`
pub(crate) async fn revoke(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let request =
        RevokeScimTokenRequest { organization_id: signed_in.organization_id(), caller: signed_in.caller(), id };
    signed_in.visit.console.clients.tokens.clone().revoke_scim_token(signed_in.call(request)).await?;
    see(&signed_in, BACK.0, "token-revoked")
}

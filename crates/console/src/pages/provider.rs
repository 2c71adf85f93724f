//! Sign-in: the organization's OpenID provider.

use askama::Template;
use axum::response::Response;
use http::StatusCode;
use wire::{
    Reason,
    identity::{GetSignInProviderRequest, RemoveSignInProviderRequest, SetSignInProviderRequest, SignInProvider},
};

use super::{Confirm, said, see, status};
use crate::{
    form::Form,
    page::{self, Section, Shell},
    problem::Result,
    session::{Role, SignedIn},
    site::Door,
    time::When,
};

const BACK: (&str, &str) = ("sign-in-provider", "Sign-in");

/// The organization's, if it has one.
pub(super) async fn of(signed_in: &SignedIn) -> Result<Option<SignInProvider>> {
    let request = GetSignInProviderRequest { organization_id: signed_in.organization_id(), with_client_secret: false };
    match signed_in.visit.console.clients.admins.clone().get_sign_in_provider(signed_in.call(request)).await {
        Ok(provider) => Ok(Some(provider.into_inner())),
        Err(status) if wire::refusal(&status).reason == Reason::SignInNotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

#[derive(Template)]
#[template(path = "provider.html")]
struct Provider {
    shell: Shell,
    error: Option<String>,
    may_change: bool,
    there_is_one: bool,
    has_secret: bool,
    modified: Option<When>,
    issuer: String,
    client_id: String,
    redirect_uri: String,
    slug: String,
    sign_in_url: String,
}

async fn provider_page(signed_in: &SignedIn, form: Option<&Form>, error: Option<String>) -> Result<Response> {
    let found = of(signed_in).await?;
    let site = &signed_in.visit.console.site;
    let slug = &signed_in.organization.slug;
    let there_is_one = found.is_some();
    let provider = found.unwrap_or_default();
    let given = |name: &str, stored: String| form.map_or(stored, |form| form.get(name).to_owned());
    let page = Provider {
        shell: Shell::new(signed_in, Section::SignIn, "Sign-in"),
        may_change: signed_in.role >= Role::Owner,
        there_is_one,
        has_secret: provider.has_client_secret,
        modified: When::of(provider.modified_at.as_ref(), signed_in.visit.console.now()),
        issuer: given("issuer", provider.issuer),
        client_id: given("client_id", provider.client_id),
        redirect_uri: site.redirect_uri(Door::Console, &signed_in.organization.id),
        sign_in_url: format!("{}/console/sign-in/start?organization={slug}", site.public_url),
        slug: slug.clone(),
        error,
    };
    page::html(status(page.error.as_ref()), &page)
}

/// `GET sign-in-provider`
pub(crate) async fn show(signed_in: SignedIn) -> Result<Response> {
    provider_page(&signed_in, None, None).await
}

/// `POST sign-in-provider`
pub(crate) async fn save(signed_in: SignedIn, form: Form) -> Result<Response> {
    let console = &signed_in.visit.console;
    let issuer = form.get("issuer").to_owned();
    // A typing error is found now, not at the next sign-in.
    if let Err(why) = console.providers.try_out(&issuer).await {
        return provider_page(&signed_in, Some(&form), Some(format!("Nothing was saved. {why}"))).await;
    }
    let client_secret = match form.get("client_secret") {
        _ if form.get("public") == "true" => Some(String::new()),
        "" => None,
        secret => Some(secret.to_owned()),
    };
    let request = SetSignInProviderRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        issuer,
        client_id: form.get("client_id").to_owned(),
        client_secret,
    };
    match console.clients.admins.clone().set_sign_in_provider(signed_in.call(request)).await {
        Ok(_) => see(&signed_in, BACK.0, "provider-saved"),
        Err(status) => provider_page(&signed_in, Some(&form), Some(said(status.into())?)).await,
    }
}

/// `GET sign-in-provider/remove`
pub(crate) async fn removing(signed_in: SignedIn) -> Result<Response> {
    let page = Confirm {
        shell: Shell::new(&signed_in, Section::SignIn, "Remove the sign-in provider"),
        back: BACK,
        action: "sign-in-provider/remove".to_owned(),
        subject: of(&signed_in).await?.map(|provider| format!("Issuer: {}", provider.issuer)).unwrap_or_default(),
        consequence: "Who is signed in stays signed in. From then on administrators sign in by invitation alone, which an owner or \
                      whoever runs Rollcall makes.",
        button: "Remove provider",
        force: None,
        error: None,
    };
    page::html(StatusCode::OK, &page)
}

/// `POST sign-in-provider/remove`
pub(crate) async fn remove(signed_in: SignedIn) -> Result<Response> {
    let request =
        RemoveSignInProviderRequest { organization_id: signed_in.organization_id(), caller: signed_in.caller() };
    signed_in.visit.console.clients.admins.clone().remove_sign_in_provider(signed_in.call(request)).await?;
    see(&signed_in, BACK.0, "provider-removed")
}

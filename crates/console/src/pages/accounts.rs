//! Accounts: who has finished set-up, who waits for what, and how accounts come to be. Agents that confirm: `agents`.

use askama::Template;
use axum::{
    extract::{Path, Query},
    response::Response,
};
use serde::Deserialize;
use wire::identity::{
    Account, AccountPolicy, AccountState, CountAccountsRequest, GetAccountPolicyRequest, GetAccountRequest,
    InviteToSetUpRequest, LinkClaim, ListAccountsRequest, SetAccountPolicyRequest, UnlinkAccountRequest,
};

use super::{
    Confirm,
    agents::{self, AgentRow},
    directory::uuid,
    overview::grouped,
    said, see, status,
};
use crate::{
    form::Form,
    page::{self, Section, Shell},
    problem::Result,
    session::{Role, SignedIn},
    site::Door,
    time::When,
};

/// In the order in which somebody passes them.
const STATES: [AccountState; 5] = [
    AccountState::Provisioned,
    AccountState::SetupRequired,
    AccountState::Accepted,
    AccountState::Confirmed,
    AccountState::Suspended,
];

/// The word of the protocol, a tone, and what it means.
pub(super) fn words(state: AccountState) -> (&'static str, &'static str, &'static str) {
    match state {
        AccountState::Provisioned | AccountState::Unspecified => ("provisioned", "plain", "never signed in"),
        AccountState::SetupRequired => ("setup_required", "warn", "signed in, without keys"),
        AccountState::Accepted => ("accepted", "warn", "has keys, waits for confirmation"),
        AccountState::Confirmed => ("confirmed", "good", "has the organization key"),
        AccountState::Suspended => ("suspended", "plain", "deactivated; comes back with the same keys"),
        AccountState::Deleted => ("deleted", "bad", "can be restored with the same keys"),
    }
}

fn named(name: &str) -> Option<AccountState> {
    STATES.into_iter().find(|state| words(*state).0 == name)
}

/// A state, and how many users are in it.
pub(super) struct Count {
    pub(super) name: &'static str,
    pub(super) means: &'static str,
    pub(super) users: String,
    /// The list shows these.
    pub(super) chosen: bool,
}

/// How many users are in each state.
pub(super) async fn counts(signed_in: &SignedIn, chosen: Option<AccountState>) -> Result<Vec<Count>> {
    let request = CountAccountsRequest { organization_id: signed_in.organization_id() };
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    let found = accounts.count_accounts(signed_in.call(request)).await?.into_inner().counts;
    let count = |state: AccountState| {
        let users = found.iter().find(|count| count.state() == state).map(|count| count.users).unwrap_or_default();
        let (name, _, means) = words(state);
        // The list has those who are active; to count them apart would be a look at every user.
        let means = if state == AccountState::Provisioned { "never signed in, active or not" } else { means };
        Count { name, means, users: grouped(users), chosen: chosen == Some(state) }
    };
    Ok(STATES.into_iter().map(count).collect())
}

/// What a user's page says of its account.
pub(super) struct Facts {
    pub(super) state: &'static str,
    pub(super) tone: &'static str,
    pub(super) means: &'static str,
    pub(super) before: Option<&'static str>,
    pub(super) signed_in: Option<When>,
    pub(super) set_up: Option<When>,
    pub(super) confirmed: Option<When>,
}

pub(super) async fn of(signed_in: &SignedIn, user_id: &str) -> Result<Facts> {
    let request = GetAccountRequest { organization_id: signed_in.organization_id(), user_id: user_id.to_owned() };
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    let account = accounts.get_account(signed_in.call(request)).await?.into_inner();
    let now = signed_in.visit.console.now();
    let (state, tone, means) = words(account.state());
    let before = Some(account.before()).filter(|before| *before != AccountState::Unspecified);
    Ok(Facts {
        state,
        tone,
        means,
        before: before.map(|before| words(before).0),
        signed_in: When::of(account.last_signed_in_at.as_ref(), now),
        set_up: When::of(account.set_up_at.as_ref(), now),
        confirmed: When::of(account.confirmed_at.as_ref(), now),
    })
}

struct Row {
    id: String,
    name: String,
    email: String,
    state: &'static str,
    tone: &'static str,
    /// There is something to be told.
    unfinished: bool,
}

impl From<Account> for Row {
    fn from(account: Account) -> Self {
        let (state, tone, _) = words(account.state());
        let unfinished = matches!(account.state(), AccountState::Provisioned | AccountState::SetupRequired);
        let name = if account.display_name.is_empty() { account.user_name } else { account.display_name };
        Self { id: account.user_id, name, email: account.email, state, tone, unfinished }
    }
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct Accounts {
    shell: Shell,
    error: Option<String>,
    agents: Vec<AgentRow>,
    may_change: bool,
    may_invite: bool,
    counts: Vec<Count>,
    state: &'static str,
    accounts: Vec<Row>,
    next: Option<String>,
    link: &'static str,
    just_in_time: bool,
    confirm_automatically: bool,
    account_url: String,
    redirect_uri: String,
}

#[derive(Default, Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    after: String,
}

fn link_name(link: LinkClaim) -> &'static str {
    match link {
        LinkClaim::UserName => "user_name",
        LinkClaim::ExternalId => "external_id",
        LinkClaim::Email | LinkClaim::Unspecified => "email",
    }
}

pub(super) async fn accounts_page(signed_in: &SignedIn, asked: &Asked, error: Option<String>) -> Result<Response> {
    let state = named(&asked.state);
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    let request = ListAccountsRequest {
        organization_id: signed_in.organization_id(),
        states: state.iter().map(|state| i32::from(*state)).collect(),
        after: asked.after.clone(),
        limit: 0,
    };
    let listed = accounts.list_accounts(signed_in.call(request)).await?.into_inner();
    let policy = GetAccountPolicyRequest { organization_id: signed_in.organization_id() };
    let policy: AccountPolicy = accounts.get_account_policy(signed_in.call(policy)).await?.into_inner();
    let site = &signed_in.visit.console.site;
    let state = state.map(|state| words(state).0).unwrap_or_default();
    let next = listed.more.then(|| format!("accounts?state={state}&after={}", listed.next));
    let page = Accounts {
        shell: Shell::new(signed_in, Section::Accounts, "Accounts"),
        agents: agents::all(signed_in).await?,
        may_change: signed_in.role >= Role::Owner,
        may_invite: signed_in.role >= Role::Admin,
        counts: counts(signed_in, named(&asked.state)).await?,
        state,
        accounts: listed.accounts.into_iter().map(Row::from).collect(),
        next,
        link: link_name(policy.link()),
        just_in_time: policy.just_in_time,
        confirm_automatically: policy.confirm_automatically,
        account_url: account_url(signed_in),
        redirect_uri: site.redirect_uri(Door::Account, &signed_in.organization.id),
        error,
    };
    page::html(status(page.error.as_ref()), &page)
}

/// Where members sign in.
fn account_url(signed_in: &SignedIn) -> String {
    let (site, slug) = (&signed_in.visit.console.site, &signed_in.organization.slug);
    format!("{}/account/sign-in?organization={slug}", site.public_url)
}

/// `GET accounts`
pub(crate) async fn show(signed_in: SignedIn, Query(asked): Query<Asked>) -> Result<Response> {
    accounts_page(&signed_in, &asked, None).await
}

/// `POST accounts/policy`
pub(crate) async fn save(signed_in: SignedIn, form: Form) -> Result<Response> {
    let link = match form.get("link") {
        "user_name" => LinkClaim::UserName,
        "external_id" => LinkClaim::ExternalId,
        _ => LinkClaim::Email,
    };
    let request = SetAccountPolicyRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        link: link.into(),
        just_in_time: form.get("just_in_time") == "true",
        confirm_automatically: form.get("confirm_automatically") == "true",
    };
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    match accounts.set_account_policy(signed_in.call(request)).await {
        Ok(_) => see(&signed_in, "accounts", "accounts-saved"),
        Err(status) => accounts_page(&signed_in, &Asked::default(), Some(said(status.into())?)).await,
    }
}

/// `GET users/{id}/unlink`
pub(crate) async fn unlinking(signed_in: SignedIn, Path(id): Path<String>) -> Result<Response> {
    let id = uuid(&id)?;
    let request = GetAccountRequest { organization_id: signed_in.organization_id(), user_id: id.clone() };
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    let account = accounts.get_account(signed_in.call(request)).await?.into_inner();
    let page = Confirm {
        shell: Shell::new(&signed_in, Section::Users, "Forget as whom a user signs in"),
        back: ("users", "Users"),
        action: format!("users/{id}/unlink"),
        subject: format!("User: {}", account.user_name),
        consequence: "Open sessions end. The next sign-in finds the user as the first one did, by the claim that is set under \
                      Accounts: whoever the identity provider gives it to signs in as this user then. Keys stay.",
        button: "Forget as whom it signs in",
        force: None,
        error: None,
    };
    page::html(status(None), &page)
}

/// `POST users/{id}/unlink`
pub(crate) async fn unlink(signed_in: SignedIn, Path(id): Path<String>, _form: Form) -> Result<Response> {
    let id = uuid(&id)?;
    let request = UnlinkAccountRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        user_id: id.clone(),
    };
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    accounts.unlink_account(signed_in.call(request)).await?;
    see(&signed_in, &format!("users/{id}"), "unlinked")
}

/// `POST accounts/invite`
pub(crate) async fn invite(signed_in: SignedIn, form: Form) -> Result<Response> {
    let user_ids = form.all("user");
    if user_ids.is_empty() {
        let nobody = "Nobody was told: select at least one user.".to_owned();
        return accounts_page(&signed_in, &Asked::default(), Some(nobody)).await;
    }
    let request = InviteToSetUpRequest {
        organization_id: signed_in.organization_id(),
        caller: signed_in.caller(),
        user_ids,
        url: account_url(&signed_in),
    };
    let mut accounts = signed_in.visit.console.clients.accounts.clone();
    match accounts.invite_to_set_up(signed_in.call(request)).await {
        Ok(answer) if answer.get_ref().left_out == 0 => see(&signed_in, "accounts", "invited"),
        Ok(answer) => {
            let answer = answer.into_inner();
            let some = format!(
                "{} were told, {} were not: they have finished, are deactivated, or have no e-mail address.",
                answer.sent, answer.left_out
            );
            accounts_page(&signed_in, &Asked::default(), Some(some)).await
        }
        Err(status) => accounts_page(&signed_in, &Asked::default(), Some(said(status.into())?)).await,
    }
}

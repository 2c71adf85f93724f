//! `rollcall account`.

use serde_json::{Value, json};
use wire::{
    Transport,
    identity::{
        Account, AccountPolicy, AccountState, ConfirmAgent, ConfirmAgentState, CountAccountsRequest,
        CreateConfirmAgentRequest, GetAccountPolicyRequest, GetAccountRequest, InviteToSetUpRequest, LinkClaim,
        ListAccountsRequest, ListConfirmAgentsRequest, Organization, RevokeConfirmAgentRequest,
        SetAccountPolicyRequest, UnlinkAccountRequest, account_service_client::AccountServiceClient,
    },
};

use super::{caller, instant, organization, refused};
use crate::{
    cli::{AccountCommand, AccountLink, AccountStateName, AgentCommand},
    connect::Connection,
    opaque, output,
    settings::Settings,
};

type Client = AccountServiceClient<Transport>;

/// Runs one.
pub(crate) async fn run(settings: &Settings, command: AccountCommand) -> anyhow::Result<()> {
    let mut connection = Connection::new(settings);
    let result = answer(&mut connection, command).await;
    connection.close().await;
    let (json, text) = result?;
    Ok(output::print(settings.output, &json, &text)?)
}

async fn answer(connection: &mut Connection<'_>, command: AccountCommand) -> anyhow::Result<(Value, String)> {
    let (AccountCommand::List { org, .. }
    | AccountCommand::Show { org, .. }
    | AccountCommand::Policy { org, .. }
    | AccountCommand::Unlink { org, .. }
    | AccountCommand::Agent(
        AgentCommand::Create { org, .. } | AgentCommand::List { org } | AgentCommand::Revoke { org, .. },
    )
    | AccountCommand::Invite { org, .. }) = &command
    else {
        return new_opaque_key(connection.settings);
    };
    let settings = connection.settings;
    let mut organizations = connection.organizations(false).await?;
    let organization = organization(settings, &mut organizations, org).await?;
    let mut client = connection.accounts().await?;
    match command {
        AccountCommand::List { state, after, .. } => {
            list(settings, &mut client, &organization.slug, organization.id, state, after).await
        }
        AccountCommand::Show { user, .. } => {
            let request = GetAccountRequest { organization_id: organization.id, user_id: user };
            let account = client.get_account(request).await.map_err(|status| refused(&status))?.into_inner();
            Ok((account_json(&account), shown(&account)))
        }
        AccountCommand::Policy { link, just_in_time, confirm_automatically, .. } => {
            let request = GetAccountPolicyRequest { organization_id: organization.id.clone() };
            let before = client.get_account_policy(request).await.map_err(|status| refused(&status))?.into_inner();
            if link.is_none() && just_in_time.is_none() && confirm_automatically.is_none() {
                return Ok((policy_json(&before), policy_text(&before)));
            }
            let request = SetAccountPolicyRequest {
                organization_id: organization.id,
                caller: caller()?,
                link: link.map_or(before.link, |link| to_wire(link).into()),
                just_in_time: just_in_time.unwrap_or(before.just_in_time),
                confirm_automatically: confirm_automatically.unwrap_or(before.confirm_automatically),
            };
            let set = client.set_account_policy(request).await.map_err(|status| refused(&status))?.into_inner();
            Ok((policy_json(&set), policy_text(&set)))
        }
        AccountCommand::Unlink { user, .. } => {
            let request = UnlinkAccountRequest { organization_id: organization.id, caller: caller()?, user_id: user };
            let account = client.unlink_account(request).await.map_err(|status| refused(&status))?.into_inner();
            let text = if account.last_signed_in_at.is_some() {
                format!("The next sign-in finds {} anew. It has no open session.", account.user_name)
            } else {
                format!(
                    "{} has never signed in, so there was nothing to forget: the first sign-in finds it.",
                    account.user_name
                )
            };
            Ok((account_json(&account), text))
        }
        AccountCommand::Agent(command) => agent(connection, &mut client, organization, command).await,
        AccountCommand::Invite { users, .. } => {
            let url = match connection.public_url() {
                Some(url) => format!("{url}/account/sign-in?organization={}", organization.slug),
                None => {
                    anyhow::bail!("the mail names the gateway's address, which is not known here; give --public-url")
                }
            };
            let request =
                InviteToSetUpRequest { organization_id: organization.id, caller: caller()?, user_ids: users, url };
            let told = client.invite_to_set_up(request).await.map_err(|status| refused(&status))?.into_inner();
            let mut text = format!("Told by mail: {}.", told.sent);
            if told.left_out > 0 {
                text += &format!(
                    " Left out: {}, who have finished set-up, are deactivated, or have no e-mail address.",
                    told.left_out
                );
            }
            Ok((json!({ "sent": told.sent, "left_out": told.left_out }), text))
        }
        AccountCommand::NewOpaqueKey => new_opaque_key(settings),
    }
}

fn new_opaque_key(settings: &Settings) -> anyhow::Result<(Value, String)> {
    let (path, keys) = opaque::add(settings)?;
    let text = format!(
        "{} has {keys} keys now. Passwords that are set from now on are checked with the newest; the others stay for those \
         of before. Give the file to all replicas of identity-service, and keep a copy where the database is not.",
        path.display()
    );
    Ok((json!({ "file": path, "keys": keys }), text))
}

async fn agent(
    connection: &Connection<'_>,
    client: &mut Client,
    organization: Organization,
    command: AgentCommand,
) -> anyhow::Result<(Value, String)> {
    let Organization { id: organization_id, slug, .. } = organization;
    match command {
        AgentCommand::Create { name, .. } => {
            let request = CreateConfirmAgentRequest { organization_id, caller: caller()?, name };
            let made = client.create_confirm_agent(request).await.map_err(|status| refused(&status))?.into_inner();
            let agent = made.agent.unwrap_or_default();
            let url = connection.public_url().unwrap_or_else(|| "URL".to_owned());
            let enroll = format!(
                "rollcall confirm-agent enroll --url {url} --organization {slug} --credential-file FILE --state FILE"
            );
            let text = format!(
                "Agent       {}\nId          {}\nCredential  {}\n\nThe credential is shown once. Save it in a file on the machine where the agent is to run, \
                 readable by nobody else, and run there: {enroll}",
                agent.name, agent.id, made.secret
            );
            let mut json = agent_json(&agent);
            json["credential"] = json!(made.secret);
            Ok((json, text))
        }
        AgentCommand::List { .. } => {
            let request = ListConfirmAgentsRequest { organization_id };
            let agents =
                client.list_confirm_agents(request).await.map_err(|status| refused(&status))?.into_inner().agents;
            let json = json!({ "agents": agents.iter().map(agent_json).collect::<Vec<_>>() });
            if agents.is_empty() {
                let create = connection.settings.command(&format!("account agent create {slug} --name TEXT"));
                return Ok((json, format!("There is no agent yet. Create one: {create}")));
            }
            let row = |agent: &ConfirmAgent| {
                let seen = instant(agent.last_seen_at.as_ref()).unwrap_or_else(|| "never".to_owned());
                vec![agent.name.clone(), agent_state(agent).to_owned(), agent.id.clone(), seen]
            };
            let rows: Vec<Vec<String>> = agents.iter().map(row).collect();
            Ok((json, output::table(&["AGENT", "STATE", "ID", "LAST SEEN"], &rows)))
        }
        AgentCommand::Revoke { id, .. } => {
            let request = RevokeConfirmAgentRequest { organization_id, caller: caller()?, id: id.to_string() };
            let agent = client.revoke_confirm_agent(request).await.map_err(|status| refused(&status))?.into_inner();
            let mut text = format!("Revoked: {}. It is refused from now on.", agent.name);
            if agent.confirmed_at.is_some() {
                text += " It had the organization key: a confirmed administrator makes a new one on the account page, or another agent does.";
            }
            Ok((agent_json(&agent), text))
        }
    }
}

fn agent_state(agent: &ConfirmAgent) -> &'static str {
    match agent.state() {
        ConfirmAgentState::Created | ConfirmAgentState::Unspecified => "created",
        ConfirmAgentState::Waiting => "waiting",
        ConfirmAgentState::Confirmed => "confirmed",
        ConfirmAgentState::Revoked => "revoked",
    }
}

fn agent_json(agent: &ConfirmAgent) -> Value {
    json!({
        "id": agent.id,
        "name": agent.name,
        "state": agent_state(agent),
        "created_at": instant(agent.created_at.as_ref()),
        "created_by": agent.created_by,
        "enrolled_at": instant(agent.enrolled_at.as_ref()),
        "confirmed_at": instant(agent.confirmed_at.as_ref()),
        "last_seen_at": instant(agent.last_seen_at.as_ref()),
        "revoked_at": instant(agent.revoked_at.as_ref()),
    })
}

async fn list(
    settings: &Settings,
    client: &mut Client,
    slug: &str,
    organization_id: String,
    state: Option<AccountStateName>,
    after: Option<String>,
) -> anyhow::Result<(Value, String)> {
    let request = ListAccountsRequest {
        organization_id: organization_id.clone(),
        states: state.iter().map(|state| i32::from(wanted(*state))).collect(),
        after: after.unwrap_or_default(),
        limit: 0,
    };
    let listed = client.list_accounts(request).await.map_err(|status| refused(&status))?.into_inner();
    let counts = client.count_accounts(CountAccountsRequest { organization_id }).await;
    let counts = counts.map_err(|status| refused(&status))?.into_inner().counts;
    let counted: serde_json::Map<String, Value> =
        counts.iter().map(|count| (name(count.state()).to_owned(), json!(count.users))).collect();
    let json = json!({
        "accounts": listed.accounts.iter().map(account_json).collect::<Vec<_>>(),
        "counts": counted,
        "next": listed.more.then_some(&listed.next),
    });
    let rows: Vec<Vec<String>> = listed
        .accounts
        .iter()
        .map(|account| {
            let signed_in = instant(account.last_signed_in_at.as_ref()).unwrap_or_else(|| "never".to_owned());
            vec![account.user_name.clone(), name(account.state()).to_owned(), account.user_id.clone(), signed_in]
        })
        .collect();
    let mut text = if rows.is_empty() {
        "Nobody here.".to_owned()
    } else {
        output::table(&["USER", "STATE", "ID", "LAST SIGNED IN"], &rows)
    };
    let all: Vec<String> = counts.iter().map(|count| format!("{} {}", count.users, name(count.state()))).collect();
    text += &format!("\n\nIn all: {}.", all.join(", "));
    if listed.more {
        let state = state.map(|state| format!(" --state {}", name(wanted(state)))).unwrap_or_default();
        let more = settings.command(&format!("account list {slug}{state} --after {}", listed.next));
        text += &format!("\nThere are more: {more}");
    }
    Ok((json, text))
}

fn wanted(state: AccountStateName) -> AccountState {
    match state {
        AccountStateName::Provisioned => AccountState::Provisioned,
        AccountStateName::SetupRequired => AccountState::SetupRequired,
        AccountStateName::Accepted => AccountState::Accepted,
        AccountStateName::Confirmed => AccountState::Confirmed,
        AccountStateName::Suspended => AccountState::Suspended,
        AccountStateName::Deleted => AccountState::Deleted,
    }
}

fn name(state: AccountState) -> &'static str {
    match state {
        AccountState::Provisioned => "provisioned",
        AccountState::SetupRequired => "setup_required",
        AccountState::Accepted => "accepted",
        AccountState::Confirmed => "confirmed",
        AccountState::Suspended => "suspended",
        AccountState::Deleted => "deleted",
        AccountState::Unspecified => "unknown",
    }
}

fn account_json(account: &Account) -> Value {
    let before = Some(account.before()).filter(|before| *before != AccountState::Unspecified);
    json!({
        "user_id": account.user_id,
        "user_name": account.user_name,
        "state": name(account.state()),
        "before": before.map(name),
        "key_version": account.key.as_ref().map(|key| key.version),
        "last_signed_in_at": instant(account.last_signed_in_at.as_ref()),
        "set_up_at": instant(account.set_up_at.as_ref()),
        "confirmed_at": instant(account.confirmed_at.as_ref()),
    })
}

fn shown(account: &Account) -> String {
    let never = || "never".to_owned();
    format!(
        "User            {}\nState           {}\nLast signed in  {}\nKeys made       {}\nConfirmed       {}",
        account.user_name,
        name(account.state()),
        instant(account.last_signed_in_at.as_ref()).unwrap_or_else(never),
        instant(account.set_up_at.as_ref()).unwrap_or_else(never),
        instant(account.confirmed_at.as_ref()).unwrap_or_else(never),
    )
}

fn to_wire(link: AccountLink) -> LinkClaim {
    match link {
        AccountLink::Email => LinkClaim::Email,
        AccountLink::UserName => LinkClaim::UserName,
        AccountLink::ExternalId => LinkClaim::ExternalId,
    }
}

fn link_name(link: LinkClaim) -> &'static str {
    match link {
        LinkClaim::UserName => "user-name",
        LinkClaim::ExternalId => "external-id",
        LinkClaim::Email | LinkClaim::Unspecified => "email",
    }
}

fn policy_json(policy: &AccountPolicy) -> Value {
    json!({
        "link": link_name(policy.link()),
        "just_in_time": policy.just_in_time,
        "confirm_automatically": policy.confirm_automatically,
    })
}

fn policy_text(policy: &AccountPolicy) -> String {
    let found = match policy.link() {
        LinkClaim::UserName => "the claim preferred_username, compared with userName",
        LinkClaim::ExternalId => "the claim sub, compared with externalId",
        LinkClaim::Email | LinkClaim::Unspecified => "the verified e-mail address, compared with userName and emails",
    };
    let on = |on: bool| if on { "yes" } else { "no" };
    format!(
        "First sign-in finds a user by         {found}\nUsers who were not provisioned        {}\nConfirmed by administrators' pages    {}",
        if policy.just_in_time { "are created at first sign-in" } else { "are not let in" },
        on(policy.confirm_automatically),
    )
}

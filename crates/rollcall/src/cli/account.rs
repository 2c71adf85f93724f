//! The words of `rollcall account`.

use clap::{Subcommand, ValueEnum};

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[value(rename_all = "snake_case")]
pub(crate) enum AccountStateName {
    /// Never signed in
    Provisioned,
    /// Signed in, without keys
    SetupRequired,
    /// Has keys, waits for confirmation
    Accepted,
    /// Has the organization key
    Confirmed,
    /// Deactivated
    Suspended,
    /// Can be restored with the same keys
    Deleted,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountLink {
    /// The verified e-mail address, compared with userName and emails
    Email,
    /// The claim preferred_username, compared with userName
    UserName,
    /// The claim sub, compared with externalId
    ExternalId,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AccountCommand {
    /// Lists users with their account's state, 100 at a time
    List {
        /// Slug or id
        org: String,
        /// Only those in this state [default: all but deleted ones]
        #[arg(long, env = "ROLLCALL_STATE", value_enum)]
        state: Option<AccountStateName>,
        /// Those after this id, as the page before ends with
        #[arg(long, env = "ROLLCALL_AFTER", value_name = "ID")]
        after: Option<String>,
    },
    /// Shows one
    Show {
        /// Slug or id
        org: String,
        /// The user's id
        user: String,
    },
    /// Shows how accounts come to be, or changes it
    Policy {
        /// Slug or id
        org: String,
        /// What finds the user at the first sign-in
        #[arg(long, env = "ROLLCALL_LINK", value_enum)]
        link: Option<AccountLink>,
        /// Whether users who were not provisioned may sign in, and are created then
        #[arg(long, env = "ROLLCALL_JUST_IN_TIME", value_name = "true|false")]
        just_in_time: Option<bool>,
        /// Whether open account pages of administrators confirm members by themselves, once these say so there
        #[arg(long, env = "ROLLCALL_CONFIRM_AUTOMATICALLY", value_name = "true|false")]
        confirm_automatically: Option<bool>,
    },
    /// Forgets as which account of the identity provider a user signs in; keys stay, sessions end
    ///
    /// The next sign-in finds the user anew, by what `rollcall account policy` says. For users whose account at the
    /// provider was made anew. After the organization has changed its provider nothing is to be done.
    Unlink {
        /// Slug or id
        org: String,
        /// The user's id
        user: String,
    },
    /// Adds a key to the OPAQUE key file, for the passwords that are set from now on
    ///
    /// Run it where identity-service runs, as the user that it runs as. Nothing has to be restarted. Replicas need the
    /// same file at once: copy it to them before members set passwords. Keys stay in the file for as long as a password
    /// was set with them.
    NewOpaqueKey,
    /// Agents: programs on a machine of the organization's own that confirm members without anybody's click
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Tells users by mail where to finish set-up; the mail has no secret
    Invite {
        /// Slug or id
        org: String,
        /// The users' ids, up to 100
        #[arg(required = true, num_args = 1..=100)]
        users: Vec<String>,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum AgentCommand {
    /// Makes one, and shows its credential once: save it in a file on the machine where the agent is to run
    Create {
        /// Slug or id
        org: String,
        /// For people, such as where it runs
        #[arg(long, env = "ROLLCALL_NAME", value_name = "TEXT")]
        name: String,
    },
    /// Lists agents: how far each is, and when it was last seen
    List {
        /// Slug or id
        org: String,
    },
    /// Refuses an agent from now on; if it had the organization key, a new one is to be made
    Revoke {
        /// Slug or id
        org: String,
        /// Of the agent, as the list shows it
        #[arg(value_parser = super::an_id)]
        id: uuid::Uuid,
    },
}

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
    /// Tells users by mail where to finish set-up; the mail has no secret
    Invite {
        /// Slug or id
        org: String,
        /// The users' ids, up to 100
        #[arg(required = true, num_args = 1..=100)]
        users: Vec<String>,
    },
}

//! The command line: its words, their environment variables and their help.

mod account;
mod confirm_agent;
mod log;
mod schema;

use std::{net::IpAddr, num::NonZeroU32, path::PathBuf};

use clap::{
    ArgGroup, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
    parser::ValueSource,
};
use ipnet::IpNet;

pub(crate) use self::{
    account::{AccountCommand, AccountLink, AccountStateName, AgentCommand},
    confirm_agent::ConfirmAgentCommand,
    log::{LogCommand, Moment, Outcome},
    schema::{ResourceType, SchemaCommand},
};
use crate::callers::Scope as ServiceScope;

/// Provisions users and groups from identity providers into organizations (SCIM 2.0).
#[derive(Parser, Debug)]
#[command(name = "rollcall", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// What was typed, and with it the flags that a suggested command needs to work on the same data, as
    /// ` --data-dir DIR`. What came from a variable is left out: it is still set.
    pub(crate) fn read() -> (Self, String) {
        let mut matches = Self::command().get_matches();
        let place = place(&matches);
        (Self::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit()), place)
    }
}

/// Those that say where something is.
const PLACES: [&str; 12] = [
    "data_dir",
    "public_url",
    "identity_database_url",
    "token_database_url",
    "identity_url",
    "token_url",
    "admin_credential_file",
    "sealing_key_file",
    "opaque_key_file",
    "grpc_ca",
    "grpc_client_cert",
    "grpc_client_key",
];

fn place(matches: &ArgMatches) -> String {
    let mut typed = String::new();
    for id in PLACES.into_iter().filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine)) {
        let value = match matches.get_raw(id).and_then(|mut values| values.next()) {
            // It may hold a password.
            _ if id.ends_with("database_url") => "URL".to_owned(),
            Some(value) => shell_word(&value.to_string_lossy()),
            None => continue,
        };
        typed.push_str(&format!(" --{} {value}", id.replace('_', "-")));
    }
    typed
}

/// As a shell takes it for one word.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Accepted before and after the subcommand.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Where databases, the admin credential and the runtime files are
    #[arg(long, global = true, env = "ROLLCALL_DATA_DIR", value_name = "DIR", default_value = "rollcall-data")]
    pub(crate) data_dir: PathBuf,
    /// Where HTTP listens; port 0 takes a free one
    #[arg(long, global = true, env = "ROLLCALL_HTTP", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) http: String,
    /// Where gRPC listens; port 0 takes a free one
    #[arg(long, global = true, env = "ROLLCALL_GRPC", value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub(crate) grpc: String,
    #[arg(
        help = "What links are built from, such as https://scim.example.com [default: http://<the HTTP address>]",
        long,
        global = true,
        env = "ROLLCALL_PUBLIC_URL",
        value_name = "URL"
    )]
    pub(crate) public_url: Option<String>,
    /// sqlite:PATH or postgres://... [default: identity.db in the data directory]
    #[arg(long, global = true, env = "ROLLCALL_IDENTITY_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) identity_database_url: Option<String>,
    /// sqlite:PATH or postgres://... [default: token.db in the data directory]
    #[arg(long, global = true, env = "ROLLCALL_TOKEN_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) token_database_url: Option<String>,
    /// Connections to each database, at most
    #[arg(long, global = true, env = "ROLLCALL_DATABASE_POOL_SIZE", value_name = "N", default_value = "16")]
    pub(crate) database_pool_size: NonZeroU32,
    #[arg(
        help = "Where identity-service is, http(s)://HOST:PORT, when it runs elsewhere",
        long,
        global = true,
        env = "ROLLCALL_IDENTITY_URL",
        value_name = "URL"
    )]
    pub(crate) identity_url: Option<String>,
    #[arg(
        help = "Where token-service is, http(s)://HOST:PORT, when it runs elsewhere; `serve identity` asks it for service \
                credentials",
        long,
        global = true,
        env = "ROLLCALL_TOKEN_URL",
        value_name = "URL"
    )]
    pub(crate) token_url: Option<String>,
    /// The credential of Rollcall's own parts and commands over gRPC [default: admin-credential in the data directory, made at the first start]
    #[arg(long, global = true, env = "ROLLCALL_ADMIN_CREDENTIAL_FILE", value_name = "FILE")]
    pub(crate) admin_credential_file: Option<PathBuf>,
    /// The key that identity-service seals the client secrets of sign-in providers with; replicas share one [default:
    /// sealing.key in the data directory, made when it is first needed]
    #[arg(long, global = true, env = "ROLLCALL_SEALING_KEY_FILE", value_name = "FILE", value_parser = path())]
    pub(crate) sealing_key_file: Option<PathBuf>,
    /// What identity-service checks the passwords of members with; replicas share one [default: opaque.key in the data
    /// directory, made when it is first needed]
    #[arg(long, global = true, env = "ROLLCALL_OPAQUE_KEY_FILE", value_name = "FILE", value_parser = path())]
    pub(crate) opaque_key_file: Option<PathBuf>,
    /// Certificate of the gRPC listener, PEM with its chain: gRPC then speaks TLS [default: plain, for a private network]
    #[arg(long, global = true, env = "ROLLCALL_GRPC_CERT", value_name = "FILE", value_parser = path())]
    pub(crate) grpc_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, global = true, env = "ROLLCALL_GRPC_KEY", value_name = "FILE", value_parser = path())]
    pub(crate) grpc_key: Option<PathBuf>,
    /// CA of client certificates, PEM: a service may then show one in place of a secret
    #[arg(long, global = true, env = "ROLLCALL_GRPC_CLIENT_CA", value_name = "FILE", value_parser = path())]
    pub(crate) grpc_client_ca: Option<PathBuf>,
    /// CA of the certificates behind https in --identity-url and --token-url, PEM
    #[arg(long, global = true, env = "ROLLCALL_GRPC_CA", value_name = "FILE", value_parser = path())]
    pub(crate) grpc_ca: Option<PathBuf>,
    /// Certificate that is shown there, PEM with its chain
    #[arg(long, global = true, env = "ROLLCALL_GRPC_CLIENT_CERT", value_name = "FILE", value_parser = path())]
    pub(crate) grpc_client_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, global = true, env = "ROLLCALL_GRPC_CLIENT_KEY", value_name = "FILE", value_parser = path())]
    pub(crate) grpc_client_key: Option<PathBuf>,
    /// Requests a second for an organization without a limit of its own; 0: unlimited. Ten times as many, at least 100,
    /// may come at once
    #[arg(long, global = true, env = "ROLLCALL_DEFAULT_REQUESTS_PER_SECOND", value_name = "N", default_value = "100")]
    pub(crate) default_requests_per_second: u32,
    /// A proxy whose X-Forwarded-For is believed, an address or CIDR; may be given several times
    #[arg(
        long,
        global = true,
        env = "ROLLCALL_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = network
    )]
    pub(crate) trusted_proxy: Vec<IpNet>,
    #[arg(
        help = "The mail server that administrators are told by, smtps://USER@HOST or smtp://USER@HOST; smtp uses STARTTLS, \
                but on this machine [default: no mail]",
        long,
        global = true,
        env = "ROLLCALL_SMTP_URL",
        value_name = "URL"
    )]
    pub(crate) smtp_url: Option<String>,
    /// The password of the user in --smtp-url
    #[arg(long, global = true, env = "ROLLCALL_SMTP_PASSWORD_FILE", value_name = "FILE", value_parser = path())]
    pub(crate) smtp_password_file: Option<PathBuf>,
    /// CA of the mail server's certificate, PEM, beside the public ones
    #[arg(long, global = true, env = "ROLLCALL_SMTP_CA", value_name = "FILE", value_parser = path())]
    pub(crate) smtp_ca: Option<PathBuf>,
    /// Whom mail is from, such as "Rollcall <rollcall@example.com>"
    #[arg(long, global = true, env = "ROLLCALL_MAIL_FROM", value_name = "SENDER")]
    pub(crate) mail_from: Option<String>,
    /// For tests: the keys of OAuth assertions may be fetched from this machine, without TLS
    #[arg(long, global = true, env = "ROLLCALL_OAUTH_LOOPBACK_JWKS")]
    pub(crate) oauth_loopback_jwks: bool,
    #[arg(
        help = "Where traces, metrics and logs are exported to over OTLP/gRPC, http://HOST:PORT",
        long,
        global = true,
        env = "ROLLCALL_OTLP_ENDPOINT",
        value_name = "URL"
    )]
    pub(crate) otlp_endpoint: Option<String>,
    /// What is logged, such as debug or info,scim_gateway=debug [default: info when serving, else warn]
    #[arg(long, global = true, env = "ROLLCALL_LOG_FILTER", value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,
    /// How log lines on standard error look
    #[arg(long, global = true, env = "ROLLCALL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// What standard output carries: text, or one JSON document and nothing else
    #[arg(long, global = true, env = "ROLLCALL_OUTPUT", value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// May be empty, as compose files pass variables that are not set.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Commands that list show ids.
fn an_id(text: &str) -> Result<uuid::Uuid, String> {
    text.parse().map_err(|_| {
        "this is no id; give one as the list shows it, such as 01a219ef-766f-789b-8b50-cb76619bc82c".to_owned()
    })
}

/// An address alone is a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| "give an address or a CIDR, such as 10.0.0.0/8".to_owned())
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Text,
    Json,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Runs the server: everything in one process, or one role of it
    Serve {
        /// Without it: everything in one process
        #[arg(value_enum, env = "ROLLCALL_ROLE")]
        role: Option<Role>,
    },
    /// Who may use an organization's console
    #[command(subcommand)]
    Admin(AdminCommand),
    /// The OpenID provider by which an organization's administrators sign in
    #[command(subcommand)]
    SignIn(SignInCommand),
    /// Organizations: their plan and limits
    #[command(subcommand)]
    Org(OrgCommand),
    /// Schemas that an organization adds to users and groups
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// The SCIM switch of an organization
    #[command(subcommand)]
    Scim(ScimCommand),
    /// Accounts of an organization's users: who has finished set-up, and how accounts come to be
    #[command(subcommand)]
    Account(AccountCommand),
    /// Confirms members of an organization, on a machine of the organization's own: the agent itself
    ///
    /// It gives the organization key to members who have finished set-up. It enrolls with a credential (rollcall account agent
    /// create), and is confirmed once on the account page. Whoever has its state file opens what that key opens: never run it beside the server.
    #[command(subcommand)]
    ConfirmAgent(ConfirmAgentCommand),
    /// Deleted users of an organization, and their way back
    #[command(subcommand)]
    User(UserCommand),
    /// Many users of an organization that lost their access at once: what waits for a decision
    #[command(subcommand)]
    Hold(HoldCommand),
    /// The provisioning log of an organization: what identity providers asked for, and what came of it
    #[command(subcommand)]
    Log(LogCommand),
    /// Mail to administrators
    #[command(subcommand)]
    Mail(MailCommand),
    /// What other services show to call gRPC
    #[command(subcommand)]
    Service(ServiceCommand),
    /// The SCIM tokens of an organization
    #[command(subcommand)]
    Token(TokenCommand),
    /// OAuth 2.0: an organization's clients, and what was granted to them
    #[command(subcommand, name = "oauth")]
    OAuth(OAuthCommand),
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The HTTP edge; needs --identity-url and --token-url
    Gateway,
    /// Organizations, users and groups, over gRPC
    Identity,
    /// SCIM tokens and service credentials, over gRPC
    Token,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminRole {
    /// Administrators and sign-in, too
    Owner,
    /// The switch, tokens, clients, users and groups
    Admin,
    /// Looks, changes nothing
    Viewer,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AdminCommand {
    /// Makes a link, good once, by which a person becomes an administrator; or, who is one already, signs in
    Invite {
        /// Slug or id
        org: String,
        /// The address that the person signs in with
        #[arg(long, env = "ROLLCALL_EMAIL", value_name = "ADDRESS")]
        email: String,
        /// What the person may do [default: owner while there is no administrator, then admin]
        #[arg(long, env = "ROLLCALL_ADMIN_ROLE", value_enum)]
        role: Option<AdminRole>,
        /// Hours until the link is void, up to 168 [default: 24]
        #[arg(long, env = "ROLLCALL_TTL_HOURS", value_name = "N")]
        ttl_hours: Option<u32>,
    },
    /// Lists administrators and invitations
    List {
        /// Slug or id
        org: String,
    },
    /// Sets what an administrator may do; open sessions follow at once
    Role {
        /// Slug or id
        org: String,
        /// Id or e-mail address, as `rollcall admin list` shows it
        admin: String,
        /// What the person may do
        #[arg(value_enum)]
        role: AdminRole,
    },
    /// Removes an administrator with its sessions, or an invitation
    Remove {
        /// Slug or id
        org: String,
        /// Id or e-mail address, as `rollcall admin list` shows it
        admin: String,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum MailCommand {
    /// Sends a test mail by --smtp-url from here, without a server
    Test {
        /// Whom to
        address: String,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum SignInCommand {
    /// Sets the provider, in the place of the one that there was
    Set {
        /// Slug or id
        org: String,
        /// Its issuer, exactly as in its /.well-known/openid-configuration
        #[arg(long, env = "ROLLCALL_ISSUER", value_name = "URL")]
        issuer: String,
        /// What it calls this application
        #[arg(long, env = "ROLLCALL_CLIENT_ID", value_name = "ID")]
        client_id: String,
        /// A file with the client secret, or - for standard input [default: the stored one, while issuer and client stay;
        /// else none, which is for public clients]
        #[arg(long, env = "ROLLCALL_CLIENT_SECRET_FILE", value_name = "FILE")]
        client_secret_file: Option<PathBuf>,
    },
    /// Shows the provider, without the client secret
    Show {
        /// Slug or id
        org: String,
    },
    /// Removes the provider: who is signed in stays so, and from then on only invitations let anybody in
    Remove {
        /// Slug or id
        org: String,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Without SCIM
    Free,
    /// With SCIM
    Enterprise,
}

impl Plan {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Enterprise => "enterprise",
        }
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum OrgCommand {
    /// Creates an organization
    Create {
        /// Its short name: 1 to 63 of a-z, 0-9 and inner hyphens
        slug: String,
        /// Its name for people
        #[arg(long, env = "ROLLCALL_NAME")]
        name: String,
        /// SCIM and OAuth are part of enterprise
        #[arg(long, env = "ROLLCALL_PLAN", value_enum, default_value_t = Plan::Free)]
        plan: Plan,
    },
    /// Lists all organizations
    List,
    /// Shows one organization
    Show {
        /// Slug or id
        org: String,
    },
    /// Sets the whole plan: a term that is not given falls back to its default, whatever it was before
    Plan {
        /// Slug or id
        org: String,
        /// SCIM and OAuth are part of enterprise
        #[arg(long, env = "ROLLCALL_PLAN", value_enum)]
        plan: Plan,
        /// When the plan ends, RFC 3339, such as 2027-01-31T00:00:00Z [default: open-ended]
        #[arg(long, env = "ROLLCALL_EXPIRES_AT", value_name = "INSTANT")]
        expires_at: Option<jiff::Timestamp>,
        /// Days after the end in which all still works, up to 3650 [default: 14]
        #[arg(long, env = "ROLLCALL_GRACE_DAYS", value_name = "N")]
        grace_days: Option<u32>,
        /// How many users it is for, active or not [default: any number]
        #[arg(long, env = "ROLLCALL_MAX_USERS", value_name = "N")]
        max_users: Option<u64>,
        /// Whether OAuth is part of it [default: as the plan has it]
        #[arg(long, env = "ROLLCALL_OAUTH", value_name = "BOOL")]
        oauth: Option<bool>,
    },
    /// Sets what becomes of deleted users; what is not given stays as it is
    #[command(group = ArgGroup::new("what").args(["grace_days", "hold_percent"]).required(true).multiple(true))]
    Deletion {
        /// Slug or id
        org: String,
        /// In how many days a user that is deleted from now on can be restored, 1 to 3650; then it is erased
        #[arg(long, env = "ROLLCALL_GRACE_DAYS", value_name = "N")]
        grace_days: Option<u32>,
        /// When more of a hundred users are deactivated or deleted within an hour, none of them is erased before an
        /// administrator decides; 0: never
        #[arg(long, env = "ROLLCALL_HOLD_PERCENT", value_name = "P")]
        hold_percent: Option<u32>,
    },
    /// Changes how many SCIM requests a second are taken; ten times as many, at least 100, may come at once
    Limit {
        /// Slug or id
        org: String,
        /// 0: unlimited
        #[arg(long, env = "ROLLCALL_REQUESTS_PER_SECOND", value_name = "N")]
        requests_per_second: u32,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum HoldCommand {
    /// Lists the holds, newest first
    List {
        /// Slug or id
        org: String,
    },
    /// Lists whom a hold is about
    Show {
        /// Slug or id
        org: String,
        /// The hold's id, as `rollcall hold list` shows it
        id: uuid::Uuid,
    },
    /// Lets who was deleted be erased in time
    Approve {
        /// Slug or id
        org: String,
        /// The hold's id, as `rollcall hold list` shows it
        #[arg(value_parser = an_id)]
        id: uuid::Uuid,
    },
    /// Restores and reactivates all that the hold is about, in the background
    Restore {
        /// Slug or id
        org: String,
        /// The hold's id, as `rollcall hold list` shows it
        #[arg(value_parser = an_id)]
        id: uuid::Uuid,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum UserCommand {
    /// Lists the deleted users that can be restored, newest first
    Deleted {
        /// Slug or id
        org: String,
    },
    /// Restores a deleted user: the same id, in the groups that still exist
    Restore {
        /// Slug or id
        org: String,
        /// The user's id, as `rollcall user deleted` shows it
        #[arg(value_parser = an_id)]
        id: uuid::Uuid,
        /// Under this userName, where its own is taken by now
        #[arg(long, env = "ROLLCALL_USER_NAME", value_name = "TEXT")]
        user_name: Option<String>,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum ScimCommand {
    /// Switches SCIM on
    Enable {
        /// Slug or id
        org: String,
    },
    /// Switches SCIM off: every SCIM request is answered 403
    Disable {
        /// Slug or id
        org: String,
    },
    /// Shows whether SCIM is on, and where it is
    Status {
        /// Slug or id
        org: String,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// See users
    #[value(name = "users:read")]
    UsersRead,
    /// Create, change and delete users
    #[value(name = "users:write")]
    UsersWrite,
    /// See groups and their members
    #[value(name = "groups:read")]
    GroupsRead,
    /// Create, change and delete groups, and their members
    #[value(name = "groups:write")]
    GroupsWrite,
}

impl Scope {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::GroupsRead => "groups:read",
            Self::GroupsWrite => "groups:write",
        }
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Creates a SCIM token and shows it, this once
    Create {
        /// Slug or id
        org: String,
        /// What it is for, 1 to 200 characters
        #[arg(long, env = "ROLLCALL_DESCRIPTION", value_name = "TEXT")]
        description: String,
        /// Days until it expires; 0: never, if the policy allows it [default: 365, or the policy's maximum]
        #[arg(long, env = "ROLLCALL_TTL_DAYS", value_name = "N")]
        ttl_days: Option<u32>,
        /// What it may do; may be given several times [default: all]
        #[arg(long, env = "ROLLCALL_SCOPE", value_enum, value_delimiter = ',')]
        scope: Vec<Scope>,
        /// Where it may be used from, an address or CIDR; may be given several times [default: anywhere]
        #[arg(
            long,
            env = "ROLLCALL_ALLOW_CIDR",
            value_name = "CIDR",
            value_delimiter = ',',
            value_parser = network
        )]
        allow_cidr: Vec<IpNet>,
    },
    /// Lists the tokens, newest first
    List {
        /// Slug or id
        org: String,
    },
    /// Revokes a token: within a second it is refused everywhere
    Revoke {
        /// Slug or id
        org: String,
        /// The token's id, as `rollcall token list` shows it
        #[arg(value_parser = an_id)]
        id: uuid::Uuid,
    },
    /// Creates a token that takes the place of another, which stays valid beside it until it is retired
    Rotate {
        /// Slug or id
        org: String,
        /// The id of the one to replace, as `rollcall token list` shows it
        #[arg(value_parser = an_id)]
        id: uuid::Uuid,
        /// How long the old one stays valid at most, such as 36h or 7d [default: until it is retired or expires]
        #[arg(long, env = "ROLLCALL_RETIRE_AFTER", value_name = "DURATION", conflicts_with = "deadline")]
        retire_after: Option<jiff::Span>,
        /// Until when the old one stays valid at most, RFC 3339, such as 2027-01-31T00:00:00Z
        #[arg(long, env = "ROLLCALL_DEADLINE", value_name = "INSTANT")]
        deadline: Option<jiff::Timestamp>,
        /// Days until the new one expires; 0: never, if the policy allows it [default: 365, or the policy's maximum]
        #[arg(long, env = "ROLLCALL_TTL_DAYS", value_name = "N")]
        ttl_days: Option<u32>,
    },
    /// Revokes a token that was rotated, once its successor has been used
    Retire {
        /// Slug or id
        org: String,
        /// The id of the old one
        #[arg(value_parser = an_id)]
        id: uuid::Uuid,
        /// Also if the successor has not been used yet
        #[arg(long, env = "ROLLCALL_FORCE")]
        force: bool,
    },
    /// Shows or changes what new tokens may be
    Policy {
        /// Slug or id
        org: String,
        /// The longest a token may live; 0: no maximum of the organization's own
        #[arg(long, env = "ROLLCALL_MAX_TTL_DAYS", value_name = "N")]
        max_ttl_days: Option<u32>,
        /// Whether a token may never expire
        #[arg(long, env = "ROLLCALL_ALLOW_NEVER", value_name = "BOOL")]
        allow_never: Option<bool>,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum ServiceCommand {
    /// Creates a service credential and shows its secret, this once
    Create {
        /// What the service is called, in events too: 1 to 63 of a-z, 0-9 and inner hyphens
        name: String,
        /// What it may do; may be given several times
        #[arg(long, env = "ROLLCALL_SCOPE", value_enum, value_delimiter = ',', required = true)]
        scope: Vec<ServiceScope>,
        /// Days until it expires; 0: never, for one without a secret [default: 365]
        #[arg(long, env = "ROLLCALL_TTL_DAYS", value_name = "N")]
        ttl_days: Option<u32>,
        /// The URI or DNS name in the client certificate of the service, such as spiffe://example.com/mail; it then needs
        /// no secret
        #[arg(long, env = "ROLLCALL_TLS_IDENTITY", value_name = "SAN")]
        tls_identity: Option<String>,
        /// Beside --tls-identity, a secret too
        #[arg(long, env = "ROLLCALL_WITH_SECRET")]
        with_secret: bool,
    },
    /// Lists the credentials, newest first
    List,
    /// Revokes a credential: within a second it is refused everywhere, and what it has open ends
    Revoke {
        /// Name or id
        service: String,
    },
    /// Makes a new secret; the one before stays valid beside it until it is retired
    Rotate {
        /// Name or id
        service: String,
        /// How long the one before stays valid at most, up to 30 days, such as 0s, 36h or 7d [default: 24h]
        #[arg(long, env = "ROLLCALL_RETIRE_AFTER", value_name = "DURATION")]
        retire_after: Option<jiff::Span>,
        /// Days until the credential expires, counted anew [default: 365]
        #[arg(long, env = "ROLLCALL_TTL_DAYS", value_name = "N")]
        ttl_days: Option<u32>,
    },
    /// Ends the secret before the last rotation, once the new one has been used
    Retire {
        /// Name or id
        service: String,
        /// Also if the new one has not been used yet
        #[arg(long, env = "ROLLCALL_FORCE")]
        force: bool,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantType {
    /// An administrator approves, then tokens are refreshed: Okta
    #[value(name = "authorization_code")]
    AuthorizationCode,
    /// Client id and secret: Entra ID and others
    #[value(name = "client_credentials")]
    ClientCredentials,
    /// Assertions that the identity provider signs, without a secret: Entra ID's workload identities
    #[value(name = "jwt-bearer")]
    JwtBearer,
}

#[derive(Subcommand, Debug)]
pub(crate) enum OAuthCommand {
    /// The clients: one for each connection of an identity provider
    #[command(subcommand)]
    Client(OAuthClientCommand),
    /// Makes an approval code, good once and for ten minutes, for the page that the identity provider opens
    Approve {
        /// Slug or id
        org: String,
        /// The client's id, as `rollcall oauth client list` shows it
        #[arg(value_parser = an_id)]
        client: uuid::Uuid,
    },
    /// What clients were granted
    #[command(subcommand)]
    Grant(OAuthGrantCommand),
}

#[derive(Args, Debug)]
pub(crate) struct NewOAuthClient {
    /// Whose it is, 1 to 200 characters, such as Okta
    #[arg(long, env = "ROLLCALL_NAME", value_name = "TEXT")]
    pub(crate) name: String,
    /// How it gets its tokens; may be given several times
    #[arg(long, env = "ROLLCALL_GRANT", value_enum, value_delimiter = ',', required = true)]
    pub(crate) grant: Vec<GrantType>,
    /// Where it may be sent back to, exactly; may be given several times. For authorization_code
    #[arg(long, env = "ROLLCALL_REDIRECT_URI", value_name = "URL")]
    pub(crate) redirect_uri: Vec<String>,
    /// What it may do; may be given several times [default: all]
    #[arg(long, env = "ROLLCALL_SCOPE", value_enum, value_delimiter = ',')]
    pub(crate) scope: Vec<Scope>,
    /// Where its tokens may be used from, an address or CIDR; may be given several times [default: anywhere]
    #[arg(long, env = "ROLLCALL_ALLOW_CIDR", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    pub(crate) allow_cidr: Vec<IpNet>,
    /// Who signs its assertions, exactly as they say it (iss); with it the client has no secret
    #[arg(long, env = "ROLLCALL_ISSUER", value_name = "TEXT", requires = "subject")]
    pub(crate) issuer: Option<String>,
    /// Whom its assertions are about (sub)
    #[arg(long, env = "ROLLCALL_SUBJECT", value_name = "TEXT", requires = "issuer")]
    pub(crate) subject: Option<String>,
    /// Whom its assertions are for (aud) [default: the token URL]
    #[arg(long, env = "ROLLCALL_AUDIENCE", value_name = "TEXT", requires = "issuer")]
    pub(crate) audience: Option<String>,
    /// Where the public keys of the issuer are, https
    #[arg(long, env = "ROLLCALL_JWKS_URI", value_name = "URL", requires = "issuer")]
    pub(crate) jwks_uri: Option<String>,
    /// The public keys of the issuer, a JWK Set
    #[arg(long, env = "ROLLCALL_JWKS_FILE", value_name = "FILE", requires = "issuer", conflicts_with = "jwks_uri")]
    pub(crate) jwks_file: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum OAuthClientCommand {
    /// Creates a client and shows its secret, this once
    Create {
        /// Slug or id
        org: String,
        #[command(flatten)]
        new: Box<NewOAuthClient>,
    },
    /// Lists the clients, newest first
    List {
        /// Slug or id
        org: String,
    },
    /// Shows all of a client but its secret, such as its redirect URIs
    Show {
        /// Slug or id
        org: String,
        /// The client's id, as `rollcall oauth client list` shows it
        #[arg(value_parser = an_id)]
        client: uuid::Uuid,
    },
    /// Revokes a client: within a second its tokens are refused everywhere
    Revoke {
        /// Slug or id
        org: String,
        /// The client's id, as `rollcall oauth client list` shows it
        #[arg(value_parser = an_id)]
        client: uuid::Uuid,
    },
    /// Makes a new secret and shows it, this once; the old one stays valid beside it until it is retired
    RotateSecret {
        /// Slug or id
        org: String,
        /// The client's id, as `rollcall oauth client list` shows it
        #[arg(value_parser = an_id)]
        client: uuid::Uuid,
        /// How long the old one stays valid at most, such as 36h or 7d [default: until it is retired]
        #[arg(long, env = "ROLLCALL_RETIRE_AFTER", value_name = "DURATION", conflicts_with = "deadline")]
        retire_after: Option<jiff::Span>,
        /// Until when the old one stays valid at most, RFC 3339, such as 2027-01-31T00:00:00Z
        #[arg(long, env = "ROLLCALL_DEADLINE", value_name = "INSTANT")]
        deadline: Option<jiff::Timestamp>,
    },
    /// Ends the old secret, once the new one has been used
    RetireSecret {
        /// Slug or id
        org: String,
        /// The client's id
        #[arg(value_parser = an_id)]
        client: uuid::Uuid,
        /// Also if the new one has not been used yet
        #[arg(long, env = "ROLLCALL_FORCE")]
        force: bool,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum OAuthGrantCommand {
    /// Lists the grants, newest first
    List {
        /// Slug or id
        org: String,
    },
    /// Revokes a grant: within a second its tokens are refused everywhere
    Revoke {
        /// Slug or id
        org: String,
        /// The grant's id, as `rollcall oauth grant list` shows it
        #[arg(value_parser = an_id)]
        id: uuid::Uuid,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_suggested_command_has_the_flags_that_were_typed_wherever_they_stood() {
        let place = |words: &[&str]| place(&Cli::command().get_matches_from([&["rollcall"], words].concat()));
        assert_eq!(place(&["org", "list"]), "");
        assert_eq!(place(&["--data-dir", "a b", "org", "list", "--output", "json"]), " --data-dir 'a b'");
        assert_eq!(
            place(&["org", "--identity-url", "http://h:1", "list", "--data-dir", "d"]),
            " --data-dir d --identity-url http://h:1"
        );
        let secret = place(&["org", "list", "--identity-database-url", "postgres://u:hunter2@h/d"]);
        assert_eq!(secret, " --identity-database-url URL");
    }

    #[test]
    fn a_word_of_any_text_is_one_word() {
        assert_eq!(shell_word("/var/lib/rollcall"), "/var/lib/rollcall");
        assert_eq!(shell_word("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn trusted_proxies_are_addresses_or_networks_and_several() {
        let words = ["rollcall", "serve", "--trusted-proxy", "10.0.0.0/8,192.0.2.1", "--trusted-proxy", "fd00::/8"];
        let networks = Cli::parse_from(words).globals.trusted_proxy;
        assert_eq!(
            networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]
        );
        let wrong = Cli::try_parse_from(["rollcall", "serve", "--trusted-proxy", "proxy"]).expect_err("refused");
        assert!(wrong.to_string().contains("10.0.0.0/8"), "{wrong}");
    }

    #[test]
    fn every_flag_has_an_environment_variable_named_after_it() {
        fn check(command: &clap::Command, prefix: &str) {
            // It runs where no server does, and its words are those of others, too.
            let prefix = if command.get_name() == "confirm-agent" { "ROLLCALL_AGENT_" } else { prefix };
            for arg in command.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version")) {
                let Some(flag) = arg.get_long() else { continue };
                // ROLLCALL_ROLE is that of a server, and set wherever one runs.
                let flag = if flag == "role" { "admin-role" } else { flag };
                let expected = format!("{prefix}{}", flag.replace('-', "_").to_uppercase());
                let env = arg.get_env().unwrap_or_default().to_string_lossy();
                assert_eq!(env, expected, "--{flag} of {}", command.get_name());
            }
            command.get_subcommands().for_each(|command| check(command, prefix));
        }
        check(&Cli::command(), "ROLLCALL_");
    }
}

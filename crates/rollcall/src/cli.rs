//! The command line: its words, their environment variables and their help.

use std::{num::NonZeroU32, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Provisions users and groups from identity providers into organizations (SCIM 2.0).
#[derive(Parser, Debug)]
#[command(name = "rollcall", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
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
        help = "Where identity-service is, http://HOST:PORT, when it runs elsewhere",
        long,
        global = true,
        env = "ROLLCALL_IDENTITY_URL",
        value_name = "URL"
    )]
    pub(crate) identity_url: Option<String>,
    #[arg(
        help = "Where token-service is, http://HOST:PORT, when it runs elsewhere",
        long,
        global = true,
        env = "ROLLCALL_TOKEN_URL",
        value_name = "URL"
    )]
    pub(crate) token_url: Option<String>,
    /// The credential of gRPC callers [default: admin-credential in the data directory, made at the first start]
    #[arg(long, global = true, env = "ROLLCALL_ADMIN_CREDENTIAL_FILE", value_name = "FILE")]
    pub(crate) admin_credential_file: Option<PathBuf>,
    /// Requests a second for an organization without a limit of its own; 0: unlimited
    #[arg(long, global = true, env = "ROLLCALL_DEFAULT_REQUESTS_PER_SECOND", value_name = "N", default_value = "100")]
    pub(crate) default_requests_per_second: u32,
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
    /// Organizations: their plan and limits
    #[command(subcommand)]
    Org(OrgCommand),
    /// Schemas that an organization adds to users and groups
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// The SCIM switch of an organization
    #[command(subcommand)]
    Scim(ScimCommand),
    /// The SCIM tokens of an organization
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The HTTP edge; needs --identity-url and --token-url
    Gateway,
    /// Organizations, users and groups, over gRPC
    Identity,
    /// SCIM tokens, over gRPC
    Token,
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
        /// SCIM is part of enterprise
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
    /// Changes the plan
    Plan {
        /// Slug or id
        org: String,
        /// SCIM is part of enterprise
        #[arg(long, env = "ROLLCALL_PLAN", value_enum)]
        plan: Plan,
        /// When the plan ends, RFC 3339, such as 2027-01-31T00:00:00Z [default: open-ended]
        #[arg(long, env = "ROLLCALL_EXPIRES_AT", value_name = "INSTANT")]
        expires_at: Option<jiff::Timestamp>,
    },
    /// Changes how many SCIM requests a second are taken
    Limit {
        /// Slug or id
        org: String,
        /// 0: unlimited
        #[arg(long, env = "ROLLCALL_REQUESTS_PER_SECOND", value_name = "N")]
        requests_per_second: u32,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResourceType {
    /// The attributes are users'
    User,
    /// The attributes are groups'
    Group,
}

impl ResourceType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum SchemaCommand {
    /// Adds a schema, which then stays as it is
    Add {
        /// Slug or id
        org: String,
        /// A SCIM Schema resource (RFC 7643 section 7), JSON
        file: PathBuf,
        /// What it extends [default: resourceType in the file, else user]
        #[arg(long, env = "ROLLCALL_RESOURCE_TYPE", value_enum, value_name = "TYPE")]
        resource_type: Option<ResourceType>,
    },
    /// Lists the schemas that were added
    List {
        /// Slug or id
        org: String,
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

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Creates a SCIM token and shows it, this once
    Create {
        /// Slug or id
        org: String,
        /// What it is for, 1 to 200 characters
        #[arg(long, env = "ROLLCALL_DESCRIPTION", value_name = "TEXT")]
        description: String,
        /// Days until it expires; 0: never [default: 365]
        #[arg(long, env = "ROLLCALL_TTL_DAYS", value_name = "N")]
        ttl_days: Option<u32>,
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
        id: uuid::Uuid,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_definitions_agree_with_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable_named_after_it() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version")) {
                let Some(flag) = arg.get_long() else { continue };
                let expected = format!("ROLLCALL_{}", flag.replace('-', "_").to_uppercase());
                let env = arg.get_env().unwrap_or_default().to_string_lossy();
                assert_eq!(env, expected, "--{flag} of {}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}

//! The words of `rollcall confirm-agent`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand, Debug)]
pub(crate) enum ConfirmAgentCommand {
    /// Makes the agent's keys in a file of its own, tells the server the public ones, and prints the fingerprint phrase that an
    /// administrator compares
    Enroll {
        #[command(flatten)]
        server: EnrollArgs,
        #[command(flatten)]
        files: AgentFiles,
    },
    /// Confirms members, again and again, until it is stopped; enrolls first where there is no state file and --url,
    /// --organization and --credential-file are given
    Run {
        #[command(flatten)]
        server: MaybeEnrollArgs,
        #[command(flatten)]
        files: AgentFiles,
        /// Seconds between two looks at the server, about
        #[arg(long, env = "ROLLCALL_AGENT_INTERVAL", value_name = "SECONDS", default_value = "15", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        interval: u64,
        /// Looks once, confirms whom it may, and ends
        #[arg(long, env = "ROLLCALL_AGENT_ONCE")]
        once: bool,
        /// The eight words of the administrator who confirms this agent, from that administrator's account page: the organization
        /// key is taken from nobody else [default: from whoever gives it first; the words are printed]
        #[arg(long, env = "ROLLCALL_AGENT_GRANTER_PHRASE", value_name = "WORDS")]
        granter_phrase: Option<String>,
        /// Confirms only members whose e-mail address is of this domain; may be given several times
        #[arg(long, env = "ROLLCALL_AGENT_ONLY_EMAIL_DOMAIN", value_name = "DOMAIN", value_delimiter = ',')]
        only_email_domain: Vec<String>,
    },
    /// Prints who the agent is, its fingerprint phrase, and from whom it takes the organization key; asks no server
    Show {
        /// The agent's own file
        #[arg(long, env = "ROLLCALL_AGENT_STATE", value_name = "FILE")]
        state: PathBuf,
    },
}

#[derive(Args, Debug)]
pub(crate) struct EnrollArgs {
    /// The server, as members reach it: what is before /account in the address of their page
    #[arg(long, env = "ROLLCALL_AGENT_URL", value_name = "URL")]
    pub(crate) url: String,
    /// The organization's slug
    #[arg(long, env = "ROLLCALL_AGENT_ORGANIZATION", value_name = "SLUG")]
    pub(crate) organization: String,
    /// The file with the agent's credential, rc_agent_..., readable by nobody else (chmod 600)
    #[arg(long, env = "ROLLCALL_AGENT_CREDENTIAL_FILE", value_name = "FILE")]
    pub(crate) credential_file: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct MaybeEnrollArgs {
    /// To enroll first: the server, as members reach it
    #[arg(long, env = "ROLLCALL_AGENT_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// To enroll first: the organization's slug
    #[arg(long, env = "ROLLCALL_AGENT_ORGANIZATION", value_name = "SLUG")]
    pub(crate) organization: Option<String>,
    /// To enroll first: the file with the agent's credential
    #[arg(long, env = "ROLLCALL_AGENT_CREDENTIAL_FILE", value_name = "FILE")]
    pub(crate) credential_file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct AgentFiles {
    /// The agent's own file, which it makes: its keys, its credential, and from whom it takes the organization key
    #[arg(long, env = "ROLLCALL_AGENT_STATE", value_name = "FILE")]
    pub(crate) state: PathBuf,
    /// CA of the server's certificate, PEM [default: the public ones]
    #[arg(long, env = "ROLLCALL_AGENT_CA", value_name = "FILE", value_parser = super::path())]
    pub(crate) ca: Option<PathBuf>,
}

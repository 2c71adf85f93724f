//! The words of `rollcall schema`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

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

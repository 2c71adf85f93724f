//! The Group resource type: RFC 7643 section 4.2.

use super::{
    GROUP, Mutability, ResourceType, Schema,
    build::{common, complex, reference, string},
};

pub(super) fn resource_type() -> ResourceType {
    ResourceType {
        name: "Group".to_owned(),
        endpoint: "/Groups".to_owned(),
        description: "A set of users and groups.".to_owned(),
        schema: core(),
        common: common(),
        extensions: Vec::new(),
    }
}

fn core() -> Schema {
    let mut members = complex(
        "members",
        "The members of the group.",
        vec![
            string("value", "The id of the member."),
            reference("$ref", &["User", "Group"], "Where the member is."),
            string("type", "What the member is.").canonical(&["User", "Group"]),
        ],
    )
    .multi_valued();
    for sub in &mut members.sub_attributes {
        sub.mutability = Mutability::Immutable;
    }
    Schema {
        id: GROUP.to_owned(),
        name: "Group".to_owned(),
        description: "Group".to_owned(),
        attributes: vec![
            // Required by erratum 5368; unique because the clients look groups up by it.
            string("displayName", "The name of the group; unique without regard to case.").required().unique(),
            members,
        ],
    }
}

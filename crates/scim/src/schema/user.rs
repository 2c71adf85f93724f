//! The User resource type: RFC 7643 sections 4.1 and 4.3.

use super::{
    ENTERPRISE_USER, Mutability, ResourceType, Returned, Schema, USER,
    build::{binary, boolean, common, complex, plural, reference, string},
};

pub(super) fn resource_type() -> ResourceType {
    ResourceType {
        name: "User".to_owned(),
        endpoint: "/Users".to_owned(),
        description: "A person's account.".to_owned(),
        schema: core(),
        common: common(),
        extensions: vec![enterprise()],
    }
}

fn core() -> Schema {
    let mut attributes = vec![
        string("userName", "The name the user signs in with; unique without regard to case.").required().unique(),
        complex(
            "name",
            "The parts of the user's name.",
            vec![
                string("formatted", "The whole name as it is shown."),
                string("familyName", "The family name."),
                string("givenName", "The given name."),
                string("middleName", "The middle name."),
                string("honorificPrefix", "A title before the name."),
                string("honorificSuffix", "A suffix after the name."),
            ],
        ),
        string("displayName", "The name shown to others."),
        string("nickName", "The casual name."),
        reference("profileUrl", &["external"], "A page about the user."),
        string("title", "The position, such as Vice President."),
        string("userType", "The relation to the organization, such as Contractor."),
        string("preferredLanguage", "The preferred languages, as in Accept-Language."),
        string("locale", "The locale for dates, numbers and currency, such as en-US."),
        string("timezone", "The time zone, such as Europe/Lisbon."),
        boolean("active", "Whether the user may sign in."),
        string("password", "Taken and discarded: this server keeps no passwords of clients.")
            .mutability(Mutability::WriteOnly)
            .returned(Returned::Never),
    ];
    attributes.extend([
        plural(
            "emails",
            "E-mail addresses.",
            string("value", "The e-mail address."),
            &["work", "home", "other"],
        ),
        plural(
            "phoneNumbers",
            "Telephone numbers.",
            string("value", "The number."),
            &["work", "home", "mobile", "fax", "pager", "other"],
        ),
        plural(
            "ims",
            "Instant messaging addresses.",
            string("value", "The address."),
            &["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"],
        ),
        plural(
            "photos",
            "Pictures of the user.",
            reference("value", &["external"], "Where the picture is."),
            &["photo", "thumbnail"],
        ),
        complex(
            "addresses",
            "Postal addresses.",
            vec![
                string("formatted", "The whole address as it is shown."),
                string("streetAddress", "Street, house number and the like."),
                string("locality", "The city."),
                string("region", "The state or region."),
                string("postalCode", "The postal code."),
                string("country", "The country, ISO 3166-1 alpha-2."),
                string("type", "What the address is used for.").canonical(&["work", "home", "other"]),
                boolean("primary", "The preferred address; true at most once."),
            ],
        )
        .multi_valued(),
        complex(
            "groups",
            "The groups the user is in, directly or through other groups; changed through the groups.",
            vec![
                string("value", "The id of the group."),
                reference("$ref", &["User", "Group"], "Where the group is."),
                string("display", "The name of the group."),
                string("type", "Whether the user is a member itself.").canonical(&["direct", "indirect"]),
            ],
        )
        .multi_valued()
        .mutability(Mutability::ReadOnly),
        plural("entitlements", "Things the user has.", string("value", "The entitlement."), &[]),
        plural("roles", "Roles the user has.", string("value", "The role."), &[]),
        plural("x509Certificates", "Certificates issued to the user.", binary("value", "DER in base64."), &[]),
    ]);
    Schema { id: USER.to_owned(), name: "User".to_owned(), description: "User Account".to_owned(), attributes }
}

fn enterprise() -> Schema {
    let mut manager = complex(
        "manager",
        "The user's manager.",
        vec![
            string("value", "The id of the manager."),
            reference("$ref", &["User"], "Where the manager is."),
            string("displayName", "The manager's name."),
        ],
    );
    for sub in manager.sub_attributes.iter_mut().filter(|sub| sub.name == "displayName") {
        sub.mutability = Mutability::ReadOnly;
    }
    Schema {
        id: ENTERPRISE_USER.to_owned(),
        name: "EnterpriseUser".to_owned(),
        description: "Enterprise User".to_owned(),
        attributes: vec![
            string("employeeNumber", "The number the organization gave the user."),
            string("costCenter", "The cost center."),
            string("organization", "The organization."),
            string("division", "The division."),
            string("department", "The department."),
            manager,
        ],
    }
}

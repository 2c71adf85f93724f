//! The resource types every organization has, as RFC 7643 section 8.7.1 defines them.

use std::sync::OnceLock;

use super::{Attribute, ENTERPRISE_USER, GROUP, Mutability, ResourceType, Returned, Schema, Type, USER, Uniqueness};

/// User with the enterprise extension; built once.
pub fn user() -> &'static ResourceType {
    static USER_TYPE: OnceLock<ResourceType> = OnceLock::new();
    USER_TYPE.get_or_init(|| ResourceType {
        name: "User".to_owned(),
        endpoint: "/Users".to_owned(),
        description: "User Account".to_owned(),
        schema: Schema {
            id: USER.to_owned(),
            name: "User".to_owned(),
            description: "User Account".to_owned(),
            attributes: user_attributes(),
        },
        common: common(),
        extensions: vec![enterprise()],
    })
}

/// Group; built once.
pub fn group() -> &'static ResourceType {
    static GROUP_TYPE: OnceLock<ResourceType> = OnceLock::new();
    GROUP_TYPE.get_or_init(|| ResourceType {
        name: "Group".to_owned(),
        endpoint: "/Groups".to_owned(),
        description: "Group".to_owned(),
        schema: Schema {
            id: GROUP.to_owned(),
            name: "Group".to_owned(),
            description: "Group".to_owned(),
            attributes: vec![
                string("displayName", "A human-readable name for the group.").required().unique(),
                complex(
                    "members",
                    "The members of the group.",
                    vec![
                        string("value", "Identifier of the member.").exact().immutable(),
                        reference("$ref", "The URI of the member.", &["User", "Group"]).immutable(),
                        string("type", "The kind of member.").immutable().canonical(&["User", "Group"]),
                    ],
                )
                .multi(),
            ],
        },
        common: common(),
        extensions: Vec::new(),
    })
}

/// `schemas`, RFC 7643 section 3: of every resource, but no attribute of any schema. Not caseExact, as URNs are compared.
pub fn schemas() -> &'static Attribute {
    static SCHEMAS: OnceLock<Attribute> = OnceLock::new();
    SCHEMAS.get_or_init(|| Attribute {
        r#type: Type::Reference,
        returned: Returned::Always,
        reference_types: vec!["uri".to_owned()],
        ..string("schemas", "The URNs of the schemas that the resource has attributes of.").required().multi()
    })
}

fn common() -> Vec<Attribute> {
    vec![
        Attribute {
            returned: Returned::Always,
            ..string("id", "The identifier this server gave.").exact().read_only().unique()
        },
        string("externalId", "The identifier the provisioning client gave.").exact(),
        complex(
            "meta",
            "About the resource.",
            vec![
                string("resourceType", "The name of the resource type.").exact().read_only(),
                Attribute { r#type: Type::DateTime, ..string("created", "When it was created.").read_only() },
                Attribute { r#type: Type::DateTime, ..string("lastModified", "When it last changed.").read_only() },
                reference("location", "The URI of the resource.", &["uri"]).read_only(),
                string("version", "The entity tag.").exact().read_only(),
            ],
        )
        .read_only(),
    ]
}

fn user_attributes() -> Vec<Attribute> {
    vec![
        string("userName", "The name the user signs in with; unique, compared without regard to case.")
            .required()
            .unique(),
        complex(
            "name",
            "The components of the user's name.",
            vec![
                string("formatted", "The full name for display."),
                string("familyName", "The family name."),
                string("givenName", "The given name."),
                string("middleName", "The middle names."),
                string("honorificPrefix", "Titles before the name."),
                string("honorificSuffix", "Suffixes after the name."),
            ],
        ),
        string("displayName", "The name shown to other people."),
        string("nickName", "The casual name."),
        reference("profileUrl", "The URL of the user's online profile.", &["external"]),
        string("title", "The job title."),
        string("userType", "The relation of the user to the organization, such as Contractor."),
        string("preferredLanguage", "The preferred languages, as in Accept-Language."),
        string("locale", "The default location for localization, such as en-US."),
        string("timezone", "The time zone, such as Europe/Berlin."),
        boolean("active", "Whether the user may sign in."),
        Attribute {
            mutability: Mutability::WriteOnly,
            returned: Returned::Never,
            ..string("password", "Accepted for clients that send one; never stored.").exact()
        },
        typed("emails", "E-mail addresses.", string("value", "The address."), &["work", "home", "other"]),
        typed(
            "phoneNumbers",
            "Phone numbers.",
            string("value", "The number."),
            &["work", "home", "mobile", "fax", "pager", "other"],
        ),
        typed(
            "ims",
            "Instant messaging addresses.",
            string("value", "The address."),
            &["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"],
        ),
        typed("photos", "URLs of photos.", reference("value", "The URL.", &["external"]), &["photo", "thumbnail"]),
        complex(
            "addresses",
            "Postal addresses.",
            vec![
                string("formatted", "The whole address for display."),
                string("streetAddress", "The street, with house number."),
                string("locality", "The city."),
                string("region", "The state or region."),
                string("postalCode", "The postal code."),
                string("country", "The country, ISO 3166-1 alpha 2."),
                string("type", "What the address is for.").canonical(&["work", "home", "other"]),
                boolean("primary", "The preferred one."),
            ],
        )
        .multi(),
        complex(
            "groups",
            "The groups the user is in, directly or through nesting; changed through the groups.",
            vec![
                string("value", "Identifier of the group.").exact().read_only(),
                reference("$ref", "The URI of the group.", &["User", "Group"]).read_only(),
                string("display", "The group's name.").read_only(),
                string("type", "How the user is in it.").read_only().canonical(&["direct", "indirect"]),
            ],
        )
        .multi()
        .read_only(),
        typed("entitlements", "Entitlements.", string("value", "The entitlement."), &[]),
        typed("roles", "Roles.", string("value", "The role."), &[]),
        typed(
            "x509Certificates",
            "X.509 certificates.",
            Attribute { r#type: Type::Binary, ..string("value", "The DER certificate in base64.").exact() },
            &[],
        ),
    ]
}

fn enterprise() -> Schema {
    Schema {
        id: ENTERPRISE_USER.to_owned(),
        name: "EnterpriseUser".to_owned(),
        description: "Enterprise User".to_owned(),
        attributes: vec![
            string("employeeNumber", "The number the organization gave."),
            string("costCenter", "The cost center."),
            string("organization", "The organization."),
            string("division", "The division."),
            string("department", "The department."),
            complex(
                "manager",
                "The user's manager.",
                vec![
                    string("value", "The id of the manager's user.").exact(),
                    reference("$ref", "The URI of the manager's user.", &["User"]),
                    string("displayName", "The manager's name.").read_only(),
                ],
            ),
        ],
    }
}

fn string(name: &str, description: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        r#type: Type::String,
        multi_valued: false,
        required: false,
        case_exact: false,
        mutability: Mutability::ReadWrite,
        returned: Returned::Default,
        uniqueness: Uniqueness::None,
        canonical_values: Vec::new(),
        reference_types: Vec::new(),
        description: description.to_owned(),
        sub_attributes: Vec::new(),
    }
}

fn boolean(name: &str, description: &str) -> Attribute {
    Attribute { r#type: Type::Boolean, ..string(name, description) }
}

fn reference(name: &str, description: &str, types: &[&str]) -> Attribute {
    Attribute {
        r#type: Type::Reference,
        case_exact: true,
        reference_types: types.iter().map(|&t| t.to_owned()).collect(),
        ..string(name, description)
    }
}

fn complex(name: &str, description: &str, sub_attributes: Vec<Attribute>) -> Attribute {
    Attribute { r#type: Type::Complex, sub_attributes, ..string(name, description) }
}

/// A multi-valued attribute with the default sub-attributes of RFC 7643 section 2.4.
fn typed(name: &str, description: &str, value: Attribute, types: &[&str]) -> Attribute {
    complex(
        name,
        description,
        vec![
            value,
            string("display", "A name for display."),
            string("type", "What it is for.").canonical(types),
            boolean("primary", "The preferred one; at most one is."),
        ],
    )
    .multi()
}

impl Attribute {
    fn required(self) -> Self {
        Self { required: true, ..self }
    }
    fn unique(self) -> Self {
        Self { uniqueness: Uniqueness::Server, ..self }
    }
    fn exact(self) -> Self {
        Self { case_exact: true, ..self }
    }
    fn multi(self) -> Self {
        Self { multi_valued: true, ..self }
    }
    fn immutable(self) -> Self {
        Self { mutability: Mutability::Immutable, ..self }
    }
    fn read_only(self) -> Self {
        Self { mutability: Mutability::ReadOnly, ..self }
    }
    fn canonical(self, values: &[&str]) -> Self {
        Self { canonical_values: values.iter().map(|&v| v.to_owned()).collect(), ..self }
    }
}

//! How the built-in schemas are written down: an attribute of a type, then what is not the default of RFC 7643 section
//! 2.2.

use super::{Attribute, Mutability, Returned, Type, Uniqueness};

impl Attribute {
    fn new(name: &str, r#type: Type, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            r#type,
            multi_valued: false,
            required: false,
            // RFC 7643 sections 2.3.6 and 2.3.7; section 8.7.1 says otherwise, but folding base64 would change it.
            case_exact: matches!(r#type, Type::Binary | Type::Reference),
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            uniqueness: Uniqueness::None,
            canonical_values: Vec::new(),
            reference_types: Vec::new(),
            description: description.to_owned(),
            sub_attributes: Vec::new(),
        }
    }

    pub(super) fn multi_valued(mut self) -> Self {
        self.multi_valued = true;
        self
    }

    pub(super) fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) fn case_exact(mut self) -> Self {
        self.case_exact = true;
        self
    }

    pub(super) fn unique(mut self) -> Self {
        self.uniqueness = Uniqueness::Server;
        self
    }

    pub(super) fn returned(mut self, returned: Returned) -> Self {
        self.returned = returned;
        self
    }

    /// With all sub-attributes.
    pub(super) fn mutability(mut self, mutability: Mutability) -> Self {
        self.mutability = mutability;
        for sub in &mut self.sub_attributes {
            sub.mutability = mutability;
        }
        self
    }

    pub(super) fn canonical(mut self, values: &[&str]) -> Self {
        self.canonical_values = values.iter().map(|value| (*value).to_owned()).collect();
        self
    }
}

pub(super) fn string(name: &str, description: &str) -> Attribute {
    Attribute::new(name, Type::String, description)
}

pub(super) fn boolean(name: &str, description: &str) -> Attribute {
    Attribute::new(name, Type::Boolean, description)
}

pub(super) fn date_time(name: &str, description: &str) -> Attribute {
    Attribute::new(name, Type::DateTime, description)
}

pub(super) fn binary(name: &str, description: &str) -> Attribute {
    Attribute::new(name, Type::Binary, description)
}

pub(super) fn reference(name: &str, types: &[&str], description: &str) -> Attribute {
    let reference_types = types.iter().map(|r#type| (*r#type).to_owned()).collect();
    Attribute { reference_types, ..Attribute::new(name, Type::Reference, description) }
}

pub(super) fn complex(name: &str, description: &str, sub_attributes: Vec<Attribute>) -> Attribute {
    Attribute { sub_attributes, ..Attribute::new(name, Type::Complex, description) }
}

/// RFC 7643 section 2.4: `value`, `display`, `type`, `primary`.
pub(super) fn plural(name: &str, description: &str, value: Attribute, types: &[&str]) -> Attribute {
    let subs = vec![
        value,
        string("display", "A name for people, for display only."),
        string("type", "What the value is used for.").canonical(types),
        boolean("primary", "The preferred value; true at most once."),
    ];
    complex(name, description, subs).multi_valued()
}

/// RFC 7643 section 3.
pub(super) fn common() -> Vec<Attribute> {
    vec![
        reference("schemas", &["uri"], "The URNs of the schemas the resource has attributes of.")
            .multi_valued()
            .returned(Returned::Always),
        string("id", "The identifier given by this server; it never changes.")
            .case_exact()
            .mutability(Mutability::ReadOnly)
            .returned(Returned::Always)
            .unique(),
        string("externalId", "The identifier given by the client.").case_exact(),
        complex(
            "meta",
            "What this server says about the resource.",
            vec![
                string("resourceType", "The name of the resource type.").case_exact(),
                date_time("created", "When the resource was created."),
                date_time("lastModified", "When the resource was last changed."),
                reference("location", &["uri"], "Where the resource is."),
                string("version", "The entity tag of the resource.").case_exact(),
            ],
        )
        .mutability(Mutability::ReadOnly),
    ]
}

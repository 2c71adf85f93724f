//! The schemas against the table of RFC 7643 section 8.7.1 in `data/rfc7643_characteristics.txt`.

use scim::schema::{self, Attribute, Mutability, Returned, Schema, Type, Uniqueness};

fn lines(schema: &Schema) -> Vec<String> {
    fn line(prefix: &str, a: &Attribute, out: &mut Vec<String>) {
        let r#type = match a.r#type {
            Type::String => "string",
            Type::Boolean => "boolean",
            Type::Decimal => "decimal",
            Type::Integer => "integer",
            Type::DateTime => "dateTime",
            Type::Binary => "binary",
            Type::Reference => "reference",
            Type::Complex => "complex",
        };
        let mutability = match a.mutability {
            Mutability::ReadOnly => "readOnly",
            Mutability::ReadWrite => "readWrite",
            Mutability::Immutable => "immutable",
            Mutability::WriteOnly => "writeOnly",
        };
        let returned = match a.returned {
            Returned::Always => "always",
            Returned::Never => "never",
            Returned::Default => "default",
            Returned::Request => "request",
        };
        let uniqueness = match a.uniqueness {
            Uniqueness::None => "none",
            Uniqueness::Server => "server",
            Uniqueness::Global => "global",
        };
        let name = format!("{prefix}{}", a.name);
        let flag = |on: bool, text: &'static str| if on { text } else { "" };
        let (canonical, references) = (a.canonical_values.join("|"), a.reference_types.join("|"));
        let words = [
            name.as_str(),
            r#type,
            flag(a.multi_valued, "multi"),
            flag(a.required, "required"),
            flag(a.case_exact, "exact"),
            mutability,
            returned,
            uniqueness,
            &canonical,
            &references,
        ];
        out.push(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
        for sub in &a.sub_attributes {
            line(&format!("{name}."), sub, out);
        }
    }
    let mut out = vec![schema.id.clone()];
    for attribute in &schema.attributes {
        line("", attribute, &mut out);
    }
    out
}

#[test]
fn characteristics_are_those_of_the_rfc() {
    let (user, group) = (schema::user(), schema::group());
    let ours = [&user.schema, &user.extensions[0], &group.schema].map(lines).concat();
    let file = include_str!("data/rfc7643_characteristics.txt");
    let theirs: Vec<&str> = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let only = |a: &[String], b: &[String]| a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>();
    let theirs: Vec<String> = theirs.into_iter().map(str::to_owned).collect();
    assert_eq!((only(&ours, &theirs), only(&theirs, &ours)), (vec![], vec![]));
}

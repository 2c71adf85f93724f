//! What the gateway says it can do: the constant that `/ServiceProviderConfig` is made from.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};

/// Where the constant stands.
pub(super) const SOURCE: &str = "crates/scim-gateway/src/routes/discovery.rs";
const OPENING: &str = "const CAPABILITIES: Capabilities = Capabilities {";

/// Capabilities and whether they are on.
pub(super) type Capabilities = BTreeMap<String, bool>;

/// Read from the source: tasks link no crate of the product.
pub(super) fn read(root: &Path) -> Result<Capabilities> {
    let text = fs::read_to_string(root.join(SOURCE)).with_context(|| format!("reading {SOURCE}"))?;
    parse(&text).with_context(|| format!("{SOURCE}: the constant CAPABILITIES is not as expected"))
}

fn parse(text: &str) -> Result<Capabilities> {
    let (_, rest) = text.split_once(OPENING).with_context(|| format!("there is no `{OPENING}`"))?;
    let (fields, _) = rest.split_once("};").context("the constant does not end")?;
    let mut capabilities = Capabilities::new();
    for field in fields.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once(':').with_context(|| format!("`{field}` is no field"))?;
        let on = value.trim().parse().with_context(|| format!("`{field}` is neither true nor false"))?;
        capabilities.insert(name.trim().to_owned(), on);
    }
    ensure!(!capabilities.is_empty(), "the constant has no fields");
    Ok(capabilities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_is_read() {
        let found =
            parse("x\nconst CAPABILITIES: Capabilities = Capabilities {\n a: true,\n b_c: false,\n};\n").unwrap();
        assert_eq!(found, Capabilities::from([("a".to_owned(), true), ("b_c".to_owned(), false)]));
        for broken in ["", "const CAPABILITIES: Capabilities = Capabilities { a: x };", &format!("{OPENING}}};")] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }
}

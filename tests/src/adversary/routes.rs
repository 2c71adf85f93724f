//! Which addresses there are, from the tables of the routers themselves: what is added there is called here from then on.

/// Of the console, the account page, and SCIM.
const SOURCES: [(&str, &str, &str); 4] = [
    ("/console", include_str!("../../../crates/console/src/router.rs"), "pub fn router"),
    ("", include_str!("../../../crates/console/src/account/mod.rs"), "fn routes"),
    ("", include_str!("../../../crates/console/src/account/api.rs"), "fn routes"),
    ("/scim/v2", include_str!("../../../crates/scim-gateway/src/router.rs"), "fn scim_routes"),
];

/// With what stands for their parts.
pub(super) fn all(id: &str, organization: &str) -> Vec<String> {
    let mut paths: Vec<String> =
        SOURCES.iter().flat_map(|(root, source, begin)| in_source(root, source, begin)).collect();
    paths.sort_unstable();
    paths.dedup();
    let filled = |path: String| {
        ["{id}", "{secret}", "{provider}", "{file}", "{*rest}", "{*path}", "{urn}", "{name}"]
            .iter()
            .fold(path.replace("{organization}", organization), |path, part| path.replace(part, id))
    };
    paths.into_iter().map(filled).collect()
}

/// The texts that begin with a slash in the function that begins so.
fn in_source(root: &str, source: &str, begin: &str) -> Vec<String> {
    let function = source.split_once(begin).map_or("", |(_, rest)| rest);
    let function = function.split_once("\n}\n").map_or(function, |(body, _)| body);
    let code = function.lines().filter(|line| !line.trim_start().starts_with("//"));
    let texts = code.flat_map(|line| line.split('"').skip(1).step_by(2));
    let paths = texts.filter(|text| text.starts_with('/') || (text.is_empty() && root == "/console"));
    paths.map(|path| format!("{root}{path}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_the_routers_are_read_whole() {
        let paths = all("ID", "ORG");
        for known in [
            "/account",
            "/account/api/unlock/finish",
            "/account/api/members/confirm",
            "/account/sign-in/callback/ORG",
            "/console",
            "/console/users/ID",
            "/console/scim/tokens/ID/revoke",
            "/console/accounts/policy",
            "/scim/v2/Users/ID",
            "/scim/v2/Groups/.search",
            "/scim/v2/Bulk",
        ] {
            assert!(paths.iter().any(|path| path == known), "{known} in {paths:?}");
        }
        let below = |root: &str| paths.iter().filter(|path| path.starts_with(root)).count();
        assert_eq!((below("/account/api/"), below("/scim/v2/")), (14, 14));
        assert!(below("/console") > 50 && paths.iter().all(|path| !path.contains('{')), "{paths:?}");
    }
}

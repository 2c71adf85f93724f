//! What a token may be used for, and from where. Enforced in the gateway; here it is checked and kept.

use std::net::IpAddr;

use ipnet::IpNet;
use wire::{Reason, Refusal};

/// Every scope, in the order in which they are kept.
const SCOPES: [&str; 4] = ["users:read", "users:write", "groups:read", "groups:write"];

const MOST_CIDRS: usize = 100;

/// As kept: each once, with spaces between. None given: all.
pub(crate) fn scopes(given: &[String]) -> Result<String, Refusal> {
    if let Some(unknown) = given.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(Refusal::new(
            Reason::InvalidArgument,
            format!("There is no scope {unknown:?}. There are {}.", SCOPES.join(", ")),
        ));
    }
    let wanted = |scope: &&str| given.is_empty() || given.iter().any(|given| given == scope);
    Ok(SCOPES.into_iter().filter(wanted).collect::<Vec<_>>().join(" "))
}

/// As kept: each once, with spaces between. None given: from anywhere.
pub(crate) fn cidrs(given: &[String]) -> Result<String, Refusal> {
    if given.len() > MOST_CIDRS {
        let detail = format!("A token has at most {MOST_CIDRS} allowed networks. Give larger ones.");
        return Err(Refusal::new(Reason::InvalidArgument, detail));
    }
    let mut networks = given.iter().map(|text| cidr(text)).collect::<Result<Vec<_>, _>>()?;
    networks.sort_unstable();
    networks.dedup();
    Ok(networks.iter().map(IpNet::to_string).collect::<Vec<_>>().join(" "))
}

fn cidr(text: &str) -> Result<IpNet, Refusal> {
    let refused = |what: String| Refusal::new(Reason::InvalidArgument, what);
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let network: IpNet = text.parse().or_else(|_| address()).map_err(|_| {
        refused(format!("{text:?} is no network. Give an address or a CIDR, such as 203.0.113.0/24 or 2001:db8::/32."))
    })?;
    // Most likely one digit is wrong, and which one cannot be known.
    if network != network.trunc() {
        let (given, whole) = (network.addr(), network.trunc());
        return Err(refused(format!("{text:?} has an address inside of the network. Give {given} or {whole}.")));
    }
    Ok(network)
}

/// Whether a caller that knows neither scopes nor networks may take the token for what it is.
pub(crate) fn unrestricted(scopes: &str, allowed_cidrs: &str) -> bool {
    allowed_cidrs.is_empty() && SCOPES.iter().all(|scope| scopes.split(' ').any(|has| has == *scope))
}

/// As sent.
pub(crate) fn split(kept: &str) -> Vec<String> {
    kept.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn scopes_are_kept_once_and_in_order() {
        assert_eq!(scopes(&[]).expect("all"), SCOPES.join(" "));
        let given = words(&["groups:read", "users:read", "groups:read"]);
        assert_eq!(scopes(&given).expect("known"), "users:read groups:read");
        let refused = scopes(&words(&["users"])).expect_err("unknown");
        assert!(refused.message.contains("users:write"), "{}", refused.message);
        assert!(unrestricted(&scopes(&[]).expect("all"), ""));
        assert!(!unrestricted("users:read", "") && !unrestricted(&SCOPES.join(" "), "10.0.0.0/8"));
    }

    #[test]
    fn networks_are_kept_as_such() {
        let given = words(&["203.0.113.7", "2001:db8::/32", "10.0.0.0/8", "203.0.113.7/32"]);
        assert_eq!(cidrs(&given).expect("networks"), "10.0.0.0/8 203.0.113.7/32 2001:db8::/32");
        assert_eq!(cidrs(&[]).expect("none"), "");
        for (wrong, said) in [("10.0.0.0/33", "203.0.113.0/24"), ("", "no network"), ("10.0.0.1/8", "10.0.0.0/8")] {
            let refused = cidrs(&words(&[wrong])).expect_err(wrong);
            assert!(refused.message.contains(said), "{}", refused.message);
        }
        assert!(cidrs(&vec!["10.0.0.0/8".to_owned(); 101]).is_err());
    }
}

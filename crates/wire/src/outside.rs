//! Which addresses a server may be sent to by what somebody gave it.

use std::net::{IpAddr, Ipv6Addr};

/// The metadata of AWS over IPv6, a unique local address. Most clouds have theirs at 169.254.169.254, which is link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Private networks are outside: an issuer may live there, and this machine has addresses there. Loopback, what only its link has,
/// and a cloud's metadata are not. `loopback`: this machine is, for tests.
#[must_use]
pub fn is_outside(address: IpAddr, loopback: bool) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() {
        return loopback;
    }
    let of_link = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
    };
    !(of_link || address.is_unspecified() || address.is_multicast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_its_link_are_not_outside() {
        for not in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
            "224.0.0.1",
        ] {
            assert!(!is_outside(not.parse().expect("address"), false), "{not}");
        }
        for outside in ["20.190.128.1", "10.0.0.7", "2603:1000::1"] {
            assert!(is_outside(outside.parse().expect("address"), false), "{outside}");
        }
        assert!(is_outside("127.0.0.1".parse().expect("address"), true));
    }
}

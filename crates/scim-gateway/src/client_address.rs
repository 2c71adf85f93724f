//! The address a request came from: the connection's peer or, where that is a trusted proxy, the client it names in
//! `X-Forwarded-For`.
//!
//! Not here: what the address decides.

use std::net::{IpAddr, SocketAddr};

use http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The peer of the connection; `serve` puts it on every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The client's address. Absent only from a request that came over no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// What to put on a request: the entries of `X-Forwarded-For` are believed from the right, each only because a
    /// trusted proxy wrote it. One that is no address ends the walk at the hop that wrote it.
    pub(crate) fn of(extensions: &Extensions, headers: &HeaderMap, trusted: &[IpNet]) -> Option<Self> {
        let Peer(peer) = extensions.get::<Peer>()?;
        // A listener for both families shows an IPv4 client as ::ffff:a.b.c.d.
        let mut address = peer.to_canonical();
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        while trusted.iter().any(|proxies| proxies.contains(&address)) {
            match hops.next().and_then(parse) {
                Some(hop) => address = hop,
                None => break,
            }
        }
        Some(Self(address))
    }
}

/// Some proxies write the port, too.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let address = entry.parse::<IpAddr>().or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|proxies| proxies.parse().expect("network"));
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().expect("address")));
        let headers = lines.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_str(line).expect("header"))).collect();
        ClientAddress::of(&extensions, &headers, &trusted).expect("address").0.to_string()
    }

    #[test]
    fn whoever_is_no_proxy_cannot_say_who_it_is() {
        assert_eq!(of("203.0.113.7", &["198.51.100.1"]), "203.0.113.7");
        assert_eq!(of("::ffff:203.0.113.7", &[]), "203.0.113.7");
        assert_eq!(of("2001:db8::7", &["10.0.0.1"]), "2001:db8::7");
    }

    #[test]
    fn a_proxy_is_believed_and_what_the_client_wrote_before_it_is_not() {
        assert_eq!(of("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("10.0.0.1", &["127.0.0.1, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("10.0.0.1", &["127.0.0.1", "192.0.2.1, 198.51.100.1 "]), "198.51.100.1");
        assert_eq!(of("fd00::1", &["192.0.2.1, 2001:db8::5,10.0.0.2"]), "2001:db8::5");
        assert_eq!(of("::ffff:10.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(of("10.0.0.1", &["[2001:db8::5]:4711"]), "2001:db8::5");
    }

    #[test]
    fn a_chain_that_breaks_off_ends_at_the_last_proxy() {
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["198.51.100.1, unknown"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.9"]), "10.0.0.9");
        assert_eq!(of("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(of("10.0.0.1", &["198.51.100.1,"]), "10.0.0.1");
    }

    #[test]
    fn without_a_connection_there_is_no_address() {
        assert_eq!(ClientAddress::of(&Extensions::new(), &HeaderMap::new(), &[]), None);
    }
}

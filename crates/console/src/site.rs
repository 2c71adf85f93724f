//! Where the console is, as browsers see it.

use std::net::IpAddr;

use http::Uri;

/// Which pages somebody is at: the administrators' or the members'. Sessions, cookies and redirect URIs of one are nothing
/// to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Console,
    Account,
}

impl Door {
    /// Of a path as it reaches the router.
    pub(crate) fn of(path: &str) -> Self {
        let below = path.strip_prefix("/account").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if below { Self::Account } else { Self::Console }
    }
}

/// Made of the public URL.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Scheme, host and port, as browsers write them into `Origin`.
    pub(crate) origin: String,
    /// The path that links to the console begin with, such as `/console`.
    pub(crate) root: String,
    /// The same of the members' pages, such as `/account`.
    pub(crate) account_root: String,
    /// The whole URL, without a slash at the end.
    pub(crate) public_url: String,
    pub(crate) reached: Reached,
}

/// How browsers get here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Over TLS.
    Https,
    /// Without, on this machine.
    Loopback,
    /// Without, from elsewhere: cookies and secrets could be read on the way.
    Plain,
}

impl Site {
    pub(crate) fn new(public_url: &str) -> Self {
        let public_url = public_url.trim_end_matches('/').to_owned();
        let uri: Uri = public_url.parse().unwrap_or_default();
        let scheme = uri.scheme_str().unwrap_or_default();
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let loopback = host == "localhost" || host.ends_with(".localhost") || literal.is_ok_and(|ip| ip.is_loopback());
        let reached = match scheme {
            "https" => Reached::Https,
            _ if loopback => Reached::Loopback,
            _ => Reached::Plain,
        };
        let usual = if reached == Reached::Https { 443 } else { 80 };
        let port = uri.port_u16().filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
        Self {
            origin: format!("{scheme}://{host}{port}"),
            root: format!("{}/console", uri.path().trim_end_matches('/')),
            account_root: format!("{}/account", uri.path().trim_end_matches('/')),
            public_url,
            reached,
        }
    }

    pub(crate) fn scim_url(&self) -> String {
        format!("{}/scim/v2", self.public_url)
    }

    /// What is registered at an organization's OpenID provider. Each has its own, so that an answer of one organization's
    /// provider is not taken for that of another's (RFC 9700 section 4.4.2.2).
    pub(crate) fn redirect_uri(&self, door: Door, organization_id: &str) -> String {
        let pages = match door {
            Door::Console => "console",
            Door::Account => "account",
        };
        format!("{}/{pages}/sign-in/callback/{organization_id}", self.public_url)
    }

    pub(crate) fn root_of(&self, door: Door) -> &str {
        match door {
            Door::Console => &self.root,
            Door::Account => &self.account_root,
        }
    }

    /// A path behind this door to go to, given by somebody: its root if it is none.
    pub(crate) fn path_or_root<'a>(&'a self, door: Door, path: &'a str) -> &'a str {
        let root = self.root_of(door);
        let below = path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        let plain = path.len() <= 500 && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if below && plain && !path.contains("//") && !path.contains("/..") { path } else { root }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_and_root_come_from_the_public_url() {
        for (url, origin, root, reached) in [
            ("https://scim.example.com/", "https://scim.example.com", "/console", Reached::Https),
            ("https://Scim.Example.com:443", "https://scim.example.com", "/console", Reached::Https),
            ("https://example.com:8443/rollcall", "https://example.com:8443", "/rollcall/console", Reached::Https),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "/console", Reached::Loopback),
            ("http://[::1]:80", "http://[::1]", "/console", Reached::Loopback),
            ("http://localhost", "http://localhost", "/console", Reached::Loopback),
            ("http://scim.example.com", "http://scim.example.com", "/console", Reached::Plain),
            ("http://127.0.0.1.example.com", "http://127.0.0.1.example.com", "/console", Reached::Plain),
        ] {
            let site = Site::new(url);
            assert_eq!((&*site.origin, &*site.root, site.reached), (origin, root, reached), "{url}");
        }
    }

    #[test]
    fn where_to_go_on_is_a_path_of_the_console_or_its_overview() {
        let site = Site::new("https://example.com/rollcall");
        for good in ["/rollcall/console", "/rollcall/console/users?q=a%20b", "/rollcall/console?x=1"] {
            assert_eq!(site.path_or_root(Door::Console, good), good);
            assert_eq!(site.path_or_root(Door::Account, good), "/rollcall/account");
        }
        for bad in [
            "",
            "/",
            "/console",
            "//evil.example",
            "https://evil.example/rollcall/console",
            "/rollcall/console//evil.example",
            "/rollcall/console/\\evil.example",
            "/rollcall/console/../../scim",
            "/rollcall/consoles",
            "/rollcall/console/a b",
            "/rollcall/console/\r\nx: y",
        ] {
            assert_eq!(site.path_or_root(Door::Console, bad), "/rollcall/console", "{bad:?}");
        }
    }
}

//! The cookies: which there are, read and written. Over TLS their names begin with `__Host-`, so that no neighbouring host and
//! no plain connection can set them.

use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::site::{Door, Reached};

/// What they are called here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// The session's secret.
    pub(crate) session: &'static str,
    /// A secret of this browser, which its forms are bound to.
    pub(crate) browser: &'static str,
    /// The `state` of the sign-in that this browser began.
    pub(crate) sign_in: &'static str,
    /// The form that last made a secret: sent again, it makes no other.
    pub(crate) made: &'static str,
    /// The secret of a member's session.
    pub(crate) account: &'static str,
    /// The `state` of the sign-in that a member began in this browser.
    pub(crate) account_sign_in: &'static str,
    /// What was done, for the next page to say once.
    pub(crate) done: &'static str,
    secure: bool,
}

impl Names {
    pub(crate) fn of(reached: Reached) -> Self {
        // Browsers take neither the prefix nor Secure over plain HTTP.
        if reached == Reached::Loopback {
            return Self {
                session: "rollcall",
                browser: "rollcall-browser",
                sign_in: "rollcall-sign-in",
                made: "rollcall-made",
                account: "rollcall-account",
                account_sign_in: "rollcall-account-sign-in",
                done: "rollcall-done",
                secure: false,
            };
        }
        Self {
            session: "__Host-rollcall",
            browser: "__Host-rollcall-browser",
            sign_in: "__Host-rollcall-sign-in",
            made: "__Host-rollcall-made",
            account: "__Host-rollcall-account",
            account_sign_in: "__Host-rollcall-account-sign-in",
            done: "__Host-rollcall-done",
            secure: true,
        }
    }

    /// `Set-Cookie`. Without `seconds` it lasts until the browser is closed. None: the value cannot stand in one.
    pub(crate) fn set(&self, name: &str, value: &str, seconds: Option<u32>) -> Option<HeaderValue> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !value.bytes().all(plain) {
            return None;
        }
        let secure = if self.secure { "; Secure" } else { "" };
        let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let mut cookie =
            HeaderValue::try_from(format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")).ok()?;
        cookie.set_sensitive(true);
        Some(cookie)
    }

    pub(crate) fn remove(&self, name: &str) -> Option<HeaderValue> {
        self.set(name, "", Some(0))
    }
}

impl Names {
    /// Of the sign-in at this door.
    pub(crate) fn sign_in_of(&self, door: Door) -> &'static str {
        match door {
            Door::Console => self.sign_in,
            Door::Account => self.account_sign_in,
        }
    }
}

/// The value of a cookie. One that is there twice is not believed: somebody else set one of them.
pub(crate) fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value);
    let value = values.next().filter(|value| !value.is_empty() && value.len() <= 512)?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_tls_a_cookie_is_of_this_host_alone() {
        let names = Names::of(Reached::Https);
        let cookie = names.set(names.session, "rc_session_a-B", None).expect("cookie");
        assert_eq!(cookie, "__Host-rollcall=rc_session_a-B; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert!(names.set(names.session, "a; Domain=example.com", None).is_none());
        let loopback = Names::of(Reached::Loopback);
        let removed = loopback.remove(loopback.session).expect("cookie");
        assert_eq!(removed, "rollcall=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_not_if_there_are_two() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; rollcall=secret; rollcall-made=x"));
        headers.append(COOKIE, HeaderValue::from_static("b=2"));
        assert_eq!(get(&headers, "rollcall"), Some("secret"));
        assert_eq!(get(&headers, "b"), Some("2"));
        assert_eq!(get(&headers, "roll"), None);
        headers.append(COOKIE, HeaderValue::from_static("rollcall=other"));
        assert_eq!(get(&headers, "rollcall"), None);
    }
}

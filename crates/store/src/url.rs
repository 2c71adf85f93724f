//! Which database a URL names.

use std::path::PathBuf;

use crate::Error;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Sqlite(PathBuf),
    Postgres(Server),
}

/// A PostgreSQL server, or the pooler before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// What libpq is given.
    pub(crate) url: String,
    /// `pooler=transaction`: each transaction may run on another session, so a session has no state of ours.
    pub(crate) pooled: bool,
    /// `row_security=reads`: policies hold reads to their tenant, too, so each read says whose it is.
    pub(crate) scoped_reads: bool,
    /// Not `prepare=off`: statements are prepared once and then run by name.
    pub(crate) prepare: bool,
}

/// What libpq waits for without end by default, and the name seen in `pg_stat_activity`. A URL that names one of them
/// keeps its own.
const DEFAULTS: [(&str, &str); 6] = [
    ("fallback_application_name", "rollcall"),
    ("connect_timeout", "5"),
    ("keepalives_idle", "15"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
];

/// What a session waits for at most. A pooler would give a `SET` to whoever comes next, so these go into the start-up
/// packet, and behind a pooler they are the role's.
pub(crate) const LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "30s"), ("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "30s")];

/// Compiling a statement takes longer than any of ours runs; the planner's guesses before the first ANALYZE would have it
/// done.
const NO_JIT: (&str, &str) = ("jit", "off");

pub(crate) fn parse(url: &str) -> Result<Target, Error> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return server(url).map(Target::Postgres);
    }
    let Some(path) = url.strip_prefix("sqlite:") else {
        // The text may hold a password, so only what stands before the colon is shown.
        let scheme = url.split_once(':').map_or("none", |(scheme, _)| scheme);
        return Err(Error::Other(format!(
            "A database URL of scheme {scheme:?} is not known. Use sqlite:PATH or postgresql://USER@HOST/DATABASE."
        )));
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path == ":memory:" || path.contains(['?', '\0']) {
        return Err(Error::Other(
            "A SQLite URL is sqlite:PATH with the path of a file, without parameters; a database in memory is not \
             supported, because every connection would see another one."
                .to_owned(),
        ));
    }
    let path = std::path::absolute(path)
        .map_err(|error| Error::Other(format!("The SQLite path cannot be made absolute: {error}")))?;
    Ok(Target::Sqlite(path))
}

fn server(url: &str) -> Result<Server, Error> {
    let (base, query) = split_query(url);
    let (mut pooled, mut prepare, mut scoped_reads, mut options) = (false, true, false, None);
    let mut pairs: Vec<String> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("pooler", "transaction") => pooled = true,
            ("pooler", _) => return Err(unknown("pooler", "transaction")),
            ("prepare", "off") => prepare = false,
            ("row_security", "reads") => scoped_reads = true,
            ("row_security", _) => return Err(unknown("row_security", "reads")),
            ("prepare", _) => return Err(unknown("prepare", "off")),
            ("options", value) => options = Some(value.to_owned()),
            _ => pairs.push(pair.to_owned()),
        }
    }
    for (name, value) in DEFAULTS {
        if !pairs.iter().any(|pair| pair.split('=').next() == Some(name)) {
            pairs.push(format!("{name}={value}"));
        }
    }
    if pooled {
        pairs.extend(options.map(|own| format!("options={own}")));
    } else {
        // Of two values for one name the server takes the last, which is the URL's own.
        let settings = LIMITS.iter().chain(&[NO_JIT]).map(|(name, value)| format!("-c%20{name}%3D{value}"));
        pairs.push(format!("options={}", settings.chain(options).collect::<Vec<_>>().join("%20")));
    }
    Ok(Server { url: format!("{base}?{}", pairs.join("&")), pooled, scoped_reads, prepare })
}

/// A password may hold a question mark.
fn split_query(url: &str) -> (&str, &str) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let from = match url[authority..].find(['@', '/']) {
        Some(at) if url[authority + at..].starts_with('@') => authority + at,
        _ => authority,
    };
    match url[from..].find('?') {
        Some(at) => (&url[..from + at], &url[from + at + 1..]),
        None => (url, ""),
    }
}

fn unknown(name: &str, value: &str) -> Error {
    Error::Other(format!(
        "The parameter {name} of a PostgreSQL URL can only be {value}. Write {name}={value}, or leave it out."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(url: &str) -> Server {
        match parse(url) {
            Ok(Target::Postgres(server)) => server,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_added_where_none_are_named() {
        let full = postgres("postgresql://u@h/d?connect_timeout=60&application_name=x").url;
        assert!(full.contains("connect_timeout=60") && !full.contains("connect_timeout=5&"), "{full}");
        let full = postgres("postgresql://u@h/d").url;
        assert!(full.starts_with("postgresql://u@h/d?fallback_application_name=rollcall&connect_timeout=5&"), "{full}");
        assert!(postgres("postgresql://u:a?b&c@h/d").url.starts_with("postgresql://u:a?b&c@h/d?fallback_application"));
    }

    #[test]
    fn limits_are_the_sessions_or_behind_a_pooler_the_roles() {
        let limits = "options=-c%20statement_timeout%3D30s%20-c%20lock_timeout%3D10s%20-c%20\
                      idle_in_transaction_session_timeout%3D30s%20-c%20jit%3Doff";
        assert!(postgres("postgresql://h/d").url.ends_with(limits));
        let own = postgres("postgresql://h/d?options=-c%20search_path%3Dx&sslmode=require").url;
        assert!(
            own.contains("?sslmode=require&") && own.ends_with(&format!("{limits}%20-c%20search_path%3Dx")),
            "{own}"
        );
        let pooled = postgres("postgresql://h/d?pooler=transaction");
        assert!(pooled.pooled && pooled.prepare && !pooled.url.contains("options"), "{pooled:?}");
        assert!(!pooled.url.contains("pooler"), "libpq knows no such parameter");
        let scoped = postgres("postgresql://h/d?row_security=reads");
        assert!(scoped.scoped_reads && !pooled.scoped_reads && !scoped.url.contains("row_security"), "{scoped:?}");
        let old = postgres("postgresql://h/d?prepare=off&pooler=transaction");
        assert!(old.pooled && !old.prepare && !old.url.contains("prepare"), "{old:?}");
        for wrong in ["pooler=session", "prepare=on", "pooler", "row_security=off"] {
            let error = parse(&format!("postgresql://u:hunter2@h/d?{wrong}")).expect_err(wrong).to_string();
            assert!(error.contains("leave it out") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn only_the_two_databases_are_taken_and_no_password_is_shown() {
        assert_eq!(parse("sqlite:/a/b.db"), Ok(Target::Sqlite("/a/b.db".into())));
        assert_eq!(parse("sqlite:///a/b.db"), Ok(Target::Sqlite("/a/b.db".into())));
        assert!(matches!(parse("sqlite:relative.db"), Ok(Target::Sqlite(path)) if path.is_absolute()));
        assert!(matches!(parse("postgres://a@b/c"), Ok(Target::Postgres(_))));
        for wrong in ["", "mysql://root:hunter2@host/db", "/a/b.db", "sqlite:", "sqlite::memory:", "sqlite:a?mode=ro"] {
            let error = parse(wrong).expect_err(wrong).to_string();
            assert!(error.contains("sqlite:PATH"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

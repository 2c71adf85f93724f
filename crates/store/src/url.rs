//! Which database a URL names.

use std::path::PathBuf;

use crate::Error;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Sqlite(PathBuf),
    Postgres(String),
}

pub(crate) fn parse(url: &str) -> Result<Target, Error> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Target::Postgres(url.to_owned()));
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

#[cfg(test)]
mod tests {
    use super::*;

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

//! What the command line means, checked before anything is opened or written.
//!
//! Not here: reading files or resolving host names.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use http::Uri;
use ipnet::IpNet;
use tonic::transport::Endpoint;

use crate::cli::{Globals, Output};

/// Where a service keeps its data.
#[derive(Clone)]
pub(crate) enum Database {
    /// A SQLite file in the data directory.
    Embedded(PathBuf),
    /// As given; it may hold a password.
    Given(String),
}

impl Database {
    fn new(url: Option<&str>, flag: &str, default: PathBuf) -> anyhow::Result<Self> {
        let Some(url) = url else { return Ok(Self::Embedded(default)) };
        ensure!(
            ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)),
            "{flag} is not understood; give sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE"
        );
        Ok(Self::Given(url.to_owned()))
    }

    pub(crate) fn url(&self) -> anyhow::Result<String> {
        match self {
            Self::Given(url) => Ok(url.clone()),
            Self::Embedded(path) => {
                let path =
                    path.to_str().context("the path of the data directory is not UTF-8; use another --data-dir")?;
                Ok(format!("sqlite:{path}"))
            }
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Given(url) if !url.starts_with("sqlite:"))
    }
}

/// TLS of the gRPC listener, files in PEM.
#[derive(Clone)]
pub(crate) struct ListenerTls {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Of the clients that may show a certificate; absent: none may.
    pub(crate) client_ca: Option<PathBuf>,
}

/// TLS towards the gRPC listeners of other processes, files in PEM.
#[derive(Clone)]
pub(crate) struct CallerTls {
    pub(crate) ca: PathBuf,
    /// A certificate of our own, and its key.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

/// How mail is sent.
#[derive(Clone)]
pub(crate) struct Mail {
    pub(crate) url: String,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) from: String,
}

pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) http: String,
    pub(crate) grpc: String,
    public_url: Option<String>,
    pub(crate) identity_database: Database,
    pub(crate) token_database: Database,
    pub(crate) pool_size: u32,
    pub(crate) identity_url: Option<Endpoint>,
    pub(crate) token_url: Option<Endpoint>,
    pub(crate) credential_file: Option<PathBuf>,
    pub(crate) sealing_key_file: Option<PathBuf>,
    pub(crate) opaque_key_file: Option<PathBuf>,
    pub(crate) listener_tls: Option<ListenerTls>,
    pub(crate) caller_tls: Option<CallerTls>,
    pub(crate) default_requests_per_second: u32,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Absent: it is not.
    pub(crate) mail: Option<Mail>,
    pub(crate) oauth_loopback_jwks: bool,
    pub(crate) output: Output,
    place: String,
}

impl Settings {
    /// `place`: of [`crate::cli::Cli::read`].
    pub(crate) fn new(globals: &Globals, place: String) -> anyhow::Result<Self> {
        let data_dir = &globals.data_dir;
        // An empty variable, as compose files pass them, is one that is not set.
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        ensure!(!data_dir.as_os_str().is_empty(), "--data-dir is empty; give a directory");
        let database =
            |url: &Option<String>, flag, file| Database::new(given(url).as_deref(), flag, data_dir.join(file));
        Ok(Self {
            data_dir: data_dir.clone(),
            http: globals.http.clone(),
            grpc: globals.grpc.clone(),
            public_url: given(&globals.public_url).as_deref().map(public_url).transpose()?,
            identity_database: database(&globals.identity_database_url, "--identity-database-url", "identity.db")?,
            token_database: database(&globals.token_database_url, "--token-database-url", "token.db")?,
            pool_size: globals.database_pool_size.get(),
            identity_url: given(&globals.identity_url).map(|url| endpoint(&url, "--identity-url")).transpose()?,
            token_url: given(&globals.token_url).map(|url| endpoint(&url, "--token-url")).transpose()?,
            credential_file: file(&globals.admin_credential_file),
            sealing_key_file: file(&globals.sealing_key_file),
            opaque_key_file: file(&globals.opaque_key_file),
            listener_tls: listener_tls(globals)?,
            caller_tls: caller_tls(globals)?,
            default_requests_per_second: globals.default_requests_per_second,
            trusted_proxies: globals.trusted_proxy.clone(),
            mail: mail(globals)?,
            oauth_loopback_jwks: globals.oauth_loopback_jwks,
            output: globals.output,
            place,
        })
    }

    /// A command to suggest, which works on the same data as this one.
    pub(crate) fn command(&self, words: &str) -> String {
        format!("rollcall {words}{}", self.place)
    }

    /// As given, else that of the address HTTP listens on.
    pub(crate) fn public_url(&self, http: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| format!("http://{}", reachable(http)))
    }

    /// As given on the command line.
    pub(crate) fn given_public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    pub(crate) fn credential_path(&self) -> PathBuf {
        self.credential_file.clone().unwrap_or_else(|| self.data_dir.join("admin-credential"))
    }

    pub(crate) fn sealing_key_path(&self) -> PathBuf {
        self.sealing_key_file.clone().unwrap_or_else(|| self.data_dir.join("sealing.key"))
    }

    pub(crate) fn opaque_key_path(&self) -> PathBuf {
        self.opaque_key_file.clone().unwrap_or_else(|| self.data_dir.join("opaque.key"))
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        run_dir(&self.data_dir)
    }
}

pub(crate) fn run_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("run")
}

/// The address under which this machine reaches a listener bound to every interface.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    address
}

fn public_url(text: &str) -> anyhow::Result<String> {
    let wrong = || format!("--public-url {text:?} is not usable; give a URL such as https://scim.example.com");
    let uri: Uri = text.parse().with_context(wrong)?;
    let scheme = uri.scheme_str().unwrap_or_default();
    let plain = uri.query().is_none() && !text.contains(['#', '@']) && uri.host().is_some_and(|host| !host.is_empty());
    if !plain || !matches!(scheme, "http" | "https") {
        bail!(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn endpoint(text: &str, flag: &str) -> anyhow::Result<Endpoint> {
    let wrong = || format!("{flag} {text:?} is not usable; give http(s)://HOST:PORT of the service's gRPC listener");
    let uri: Uri = text.parse().with_context(wrong)?;
    let plain = matches!(uri.path(), "" | "/") && uri.query().is_none() && uri.host().is_some();
    if !plain || !matches!(uri.scheme_str(), Some("http" | "https")) {
        bail!(wrong());
    }
    Endpoint::from_shared(text.to_owned()).with_context(wrong)
}

/// An empty variable is one that is not set.
fn file(given: &Option<PathBuf>) -> Option<PathBuf> {
    given.clone().filter(|file| !file.as_os_str().is_empty())
}

fn mail(globals: &Globals) -> anyhow::Result<Option<Mail>> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (password_file, ca_file) = (file(&globals.smtp_password_file), file(&globals.smtp_ca));
    match (given(&globals.smtp_url), given(&globals.mail_from)) {
        (Some(url), Some(from)) => Ok(Some(Mail { url, password_file, ca_file, from })),
        (Some(_), None) => {
            bail!(
                "--smtp-url needs a sender: give --mail-from \"Rollcall <rollcall@example.com>\", with an address of yours"
            )
        }
        (None, from) => {
            let alone = from.is_some() || password_file.is_some() || ca_file.is_some();
            ensure!(
                !alone,
                "--mail-from, --smtp-password-file and --smtp-ca are for mail: give --smtp-url, too, or none of them"
            );
            Ok(None)
        }
    }
}

fn listener_tls(globals: &Globals) -> anyhow::Result<Option<ListenerTls>> {
    let client_ca = file(&globals.grpc_client_ca);
    match (file(&globals.grpc_cert), file(&globals.grpc_key)) {
        (Some(certificate), Some(key)) => Ok(Some(ListenerTls { certificate, key, client_ca })),
        (None, None) => {
            ensure!(client_ca.is_none(), "--grpc-client-ca needs TLS: give --grpc-cert and --grpc-key, too");
            Ok(None)
        }
        _ => bail!("--grpc-cert and --grpc-key belong together; give both or neither"),
    }
}

fn caller_tls(globals: &Globals) -> anyhow::Result<Option<CallerTls>> {
    let client = match (file(&globals.grpc_client_cert), file(&globals.grpc_client_key)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => bail!("--grpc-client-cert and --grpc-client-key belong together; give both or neither"),
    };
    let ca = file(&globals.grpc_ca);
    ensure!(ca.is_some() || client.is_none(), "--grpc-client-cert is shown to a server of --grpc-ca; give that, too");
    Ok(ca.map(|ca| CallerTls { ca, client }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls_lose_their_last_slash_and_nonsense_is_refused() {
        assert_eq!(public_url("https://scim.example.com/").expect("url"), "https://scim.example.com");
        assert_eq!(public_url("https://example.com/rollcall").expect("url"), "https://example.com/rollcall");
        for wrong in ["", "example.com", "ftp://example.com", "https://", "https://e.com/?a=b", "https://a:b@e.com"] {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_empty_value_is_one_that_was_not_given() {
        use clap::Parser as _;

        let words = ["rollcall", "org", "list", "--identity-url", "", "--public-url", "", "--token-database-url", ""];
        let settings = Settings::new(&crate::cli::Cli::parse_from(words).globals, String::new()).expect("settings");
        assert!(settings.identity_url.is_none() && settings.given_public_url().is_none());
        assert!(matches!(settings.token_database, Database::Embedded(_)));
    }

    #[test]
    fn service_urls_name_a_host_and_nothing_more() {
        for sound in ["http://identity:8081", "https://identity:8081", "https://identity.internal/"] {
            assert!(endpoint(sound, "--identity-url").is_ok(), "{sound}");
        }
        for wrong in ["identity:8081", "ftp://identity:8081", "http://identity:8081/path", "/"] {
            assert!(endpoint(wrong, "--identity-url").is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_that_belong_together_are_given_together() {
        use clap::Parser as _;

        let settings = |words: &[&str]| {
            let words = [&["rollcall", "org", "list"], words].concat();
            Settings::new(&crate::cli::Cli::parse_from(words).globals, String::new())
        };
        let all = ["--grpc-cert=c", "--grpc-key=k", "--grpc-client-ca=a", "--grpc-ca=r"];
        let sound = settings(&all).expect("settings");
        assert!(sound.listener_tls.is_some_and(|tls| tls.client_ca.is_some()) && sound.caller_tls.is_some());
        assert!(settings(&["--grpc-cert=", "--grpc-ca="]).is_ok_and(|settings| settings.listener_tls.is_none()));
        for (words, said) in [
            (&["--grpc-cert=c"][..], "--grpc-key"),
            (&["--grpc-client-ca=a"], "--grpc-cert"),
            (&["--grpc-ca=r", "--grpc-client-key=k"], "--grpc-client-cert"),
            (&["--grpc-client-cert=c", "--grpc-client-key=k"], "--grpc-ca"),
        ] {
            let error = settings(words).err().expect("refused").to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn mail_is_configured_whole_or_not_at_all() {
        use clap::Parser as _;

        let settings = |words: &[&str]| {
            let words = [&["rollcall", "org", "list"], words].concat();
            Settings::new(&crate::cli::Cli::parse_from(words).globals, String::new())
        };
        assert!(settings(&["--smtp-url=", "--mail-from="]).is_ok_and(|settings| settings.mail.is_none()));
        assert!(settings(&["--smtp-url=smtps://h", "--mail-from=a@b"]).is_ok_and(|settings| settings.mail.is_some()));
        for (words, said) in [
            (&["--smtp-url=smtps://h"][..], "--mail-from"),
            (&["--mail-from=a@b"], "--smtp-url"),
            (&["--smtp-password-file=f"], "--smtp-url"),
            (&["--smtp-ca=f"], "--smtp-url"),
        ] {
            let error = settings(words).err().expect("refused").to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_wrong_database_url_is_not_repeated() {
        let error = Database::new(Some("mysql://root:secret@db/x"), "--token-database-url", "x".into())
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("--token-database-url") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_listener_on_every_interface_is_reached_on_this_one() {
        assert_eq!(reachable("0.0.0.0:80".parse().expect("address")).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().expect("address")).to_string(), "[::1]:80");
        assert_eq!(reachable("10.1.2.3:80".parse().expect("address")).to_string(), "10.1.2.3:80");
    }
}

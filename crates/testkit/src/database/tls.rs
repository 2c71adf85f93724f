//! A PostgreSQL server that speaks TLS, with an authority of its own.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use super::server::{PostgresServer, unprivileged};

/// The name in the server's certificate.
pub const TLS_HOST: &str = "db.example.com";

/// A running server, on a port of this machine that the kernel chose.
#[derive(Debug)]
pub struct TlsServer {
    _server: PostgresServer,
    port: u16,
    authority: PathBuf,
    stranger: PathBuf,
    _directory: TempDir,
}

impl TlsServer {
    /// Makes the certificates with the program `openssl` and starts the server.
    ///
    /// # Errors
    /// If there is no `openssl` or no PostgreSQL, or the server does not start.
    pub fn start() -> anyhow::Result<Self> {
        let directory = TempDir::new()?;
        let authority = make_authority(directory.path(), "authority")?;
        let stranger = make_authority(directory.path(), "stranger")?;
        let mut attempt = 1;
        loop {
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            match PostgresServer::temporary_with(|socket| settings(&authority, socket, port)) {
                Ok(server) => return Ok(Self { _server: server, port, authority, stranger, _directory: directory }),
                // Between the choice of a port and its use somebody else may take it.
                Err(_) if attempt < 3 => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The URL of the database `postgres` on the server, under this name.
    pub fn url(&self, host: &str, sslmode: &str, authority: &Path) -> String {
        format!(
            "postgresql://postgres@{host}:{}/postgres?hostaddr=127.0.0.1&sslmode={sslmode}&sslrootcert={}",
            self.port,
            authority.display()
        )
    }

    /// The certificate of who signed the server's.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// The certificate of one who did not.
    pub fn stranger(&self) -> &Path {
        &self.stranger
    }
}

fn openssl(directory: &Path, words: &[&str]) -> anyhow::Result<()> {
    let mut openssl = Command::new("openssl");
    let output = openssl.current_dir(directory).args(words).output().context("openssl is needed (Debian: openssl)")?;
    ensure!(output.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The words for a new key and a certificate of this subject.
fn request<'a>(subject: &'a str, key: &'a str, certificate: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words =
        vec!["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    words.extend(["-subj", subject, "-keyout", key, "-out", certificate]);
    words.extend(more);
    words
}

fn make_authority(directory: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let (subject, key, certificate) = (format!("/CN={name}"), format!("{name}.key"), format!("{name}.pem"));
    openssl(directory, &request(&subject, &key, &certificate, &[]))?;
    Ok(directory.join(certificate))
}

/// Puts the server's key and certificate into the directory of its socket.
fn settings(authority: &Path, socket: &Path, port: u16) -> anyhow::Result<Vec<String>> {
    let (subject, name) = (format!("/CN={TLS_HOST}"), format!("subjectAltName=DNS:{TLS_HOST}"));
    let signer = authority.display().to_string();
    let signer_key = authority.with_extension("key").display().to_string();
    let more =
        ["-CA", &signer, "-CAkey", &signer_key, "-addext", &name, "-addext", "basicConstraints=critical,CA:FALSE"];
    openssl(socket, &request(&subject, "server.key", "server.pem", &more))?;
    let key = socket.join("server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    if let Some(account) = unprivileged(socket)? {
        chown(&key, Some(account.uid), Some(account.gid))?;
    }
    Ok(vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "ssl=on".to_owned(),
        format!("ssl_key_file={}", key.display()),
        format!("ssl_cert_file={}", socket.join("server.pem").display()),
    ])
}

//! TLS of the gRPC listener, and towards one. Read once: a new certificate wants a restart.
//!
//! Not here: what a client certificate allows (`callers`), and TLS for HTTP, which is a proxy's.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, anyhow, ensure};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::{NoServerSessionStorage, WebPkiClientVerifier},
    },
    server::TlsStream,
};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::settings::{CallerTls, ListenerTls};

/// For the listener. A client may come without a certificate: it has to show something else then.
pub(crate) fn acceptor(files: &ListenerTls) -> anyhow::Result<TlsAcceptor> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.certificate, "--grpc-cert")?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key, "--grpc-key")?).map_err(|_| {
        anyhow!("--grpc-key {} holds no private key in PEM; give one (PKCS #8, SEC 1 or PKCS #1)", files.key.display())
    })?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file, "--grpc-client-ca")? {
                roots.add(certificate).with_context(|| unusable(file, "--grpc-client-ca"))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.with_context(|| unusable(file, "--grpc-client-ca"))?)
        }
    };
    let (certificate, key_file) = (files.certificate.display(), files.key.display());
    let mut config = builder
        .with_single_cert(chain, key)
        .with_context(|| format!("--grpc-cert {certificate} and --grpc-key {key_file} do not belong together"))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A session that is taken up again would skip the certificate, which may have expired since.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Towards a listener: its certificate is of this CA, and names the host of the URL.
pub(crate) fn caller(files: &CallerTls) -> anyhow::Result<ClientTlsConfig> {
    // Read by tonic when it connects: what cannot be read is said now.
    certificates(&files.ca, "--grpc-ca")?;
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&files.ca, "--grpc-ca")?));
    let Some((certificate, key)) = &files.client else { return Ok(config) };
    certificates(certificate, "--grpc-client-cert")?;
    let identity = Identity::from_pem(read(certificate, "--grpc-client-cert")?, read(key, "--grpc-client-key")?);
    Ok(config.identity(identity))
}

/// The URI and DNS names of the certificate that a client showed; none without one.
pub(crate) fn names(stream: &TlsStream<TcpStream>) -> Arc<[String]> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let Some(Ok(certificate)) = certificate.map(webpki::EndEntityCert::try_from) else { return Arc::default() };
    certificate.valid_uri_names().chain(certificate.valid_dns_names()).map(str::to_owned).collect()
}

fn read(file: &Path, flag: &str) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{flag} {} cannot be read; give a file in PEM", file.display()))
}

fn certificates(file: &Path, flag: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = read(file, flag)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| anyhow!("{}: {error}", unusable(file, flag)))?;
    ensure!(!found.is_empty(), unusable(file, flag));
    Ok(found)
}

fn unusable(file: &Path, flag: &str) -> String {
    format!("{flag} {} holds no usable certificate; give one or several in PEM", file.display())
}

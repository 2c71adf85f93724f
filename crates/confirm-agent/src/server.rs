//! Calls to the server: JSON over HTTPS, with the agent's credential.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use zeroize::Zeroizing;

use crate::{Error, Result, messages::Refusal};

/// A page of a hundred members is a tenth of it.
const LARGEST: usize = 4 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);
const AGENT: HeaderValue = HeaderValue::from_static(concat!("rollcall-confirm-agent/", env!("CARGO_PKG_VERSION")));

pub(crate) struct Server {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    bearer: HeaderValue,
}

impl Server {
    /// `ca`: PEM, in the place of the public ones.
    pub(crate) fn new(url: &str, credential: &Zeroizing<String>, ca: Option<&Path>) -> Result<Self> {
        let url = address(url)?;
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(PATIENCE));
        tcp.enforce_http(false);
        let tls = match ca {
            None => HttpsConnectorBuilder::new().with_webpki_roots(),
            Some(file) => HttpsConnectorBuilder::new().with_tls_config(of_ca(file)?),
        };
        // Plain only towards this machine, see `address`.
        let client =
            Client::builder(TokioExecutor::new()).build(tls.https_or_http().enable_http1().wrap_connector(tcp));
        let header = Zeroizing::new(format!("Bearer {}", **credential));
        let mut bearer = HeaderValue::from_str(&header)
            .map_err(|_| Error::Usage("the credential has characters that no credential has".to_owned()))?;
        bearer.set_sensitive(true);
        Ok(Self { client, url, bearer })
    }

    pub(crate) async fn call<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Usage(error.to_string()))?;
        let request = Request::post(format!("{}/account/agent/{path}", self.url))
            .header(AUTHORIZATION, self.bearer.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| Error::Usage("the server's URL cannot be used as it is".to_owned()))?;
        let unreachable = |why: &str| Error::Unreachable(format!("the server at {} {why}", self.url));
        let work = async {
            let answer = self.client.request(request).await.map_err(|error| unreachable(&cause(&error)))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            Ok::<_, Error>((parts.status, body.map_err(|_| unreachable("broke off in its answer"))?.to_bytes()))
        };
        let done = tokio::time::timeout(PATIENCE, work).await;
        let (status, body) = done.map_err(|_| unreachable("does not answer within 20 seconds"))??;
        answered(status, &body).map_err(|error| match error {
            Error::Unreachable(why) => unreachable(&why),
            other => other,
        })
    }
}

fn answered<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T> {
    let not_ours = || {
        let what =
            format!("gives an answer ({status}) that is not Rollcall's. Is its URL right, and is it of this release?");
        Error::Unreachable(what)
    };
    if status.is_success() {
        return serde_json::from_slice(body).map_err(|_| not_ours());
    }
    let Refusal { code, message } = serde_json::from_slice(body).map_err(|_| not_ours())?;
    let message = message.chars().filter(|c| !c.is_control()).collect();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Error::Unreachable(format!("says: {message}")));
    }
    Err(Error::Refused { code, message })
}

/// The innermost cause is the one that says something.
fn cause(error: &dyn std::error::Error) -> String {
    let innermost = std::iter::successors(Some(error), |error| error.source()).last();
    format!("cannot be reached ({})", innermost.map(ToString::to_string).unwrap_or_default())
}

/// Without a slash at its end. What is sent there names the agent, so it is https, or on this machine.
pub(crate) fn address(url: &str) -> Result<String> {
    let wrong = || {
        let why =
            format!("{url} is not the address of a Rollcall server: give https://HOST, as in the links that it makes");
        Error::Usage(why)
    };
    let trimmed = url.trim_end_matches('/');
    let uri: Uri = trimmed.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let here = host == "localhost" || literal.is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if here => {}
        _ => return Err(wrong()),
    }
    if uri.query().is_some() { Err(wrong()) } else { Ok(trimmed.to_owned()) }
}

fn of_ca(file: &Path) -> Result<ClientConfig> {
    let wrong = |why: String| Error::File { what: "the file of the CA", path: file.to_owned(), why };
    let pem = std::fs::read(file).map_err(|error| wrong(format!("it cannot be read ({error})")))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| wrong("it is not PEM".to_owned()))?;
        roots.add(certificate).map_err(|_| wrong("it has a certificate that is of no CA".to_owned()))?;
    }
    if roots.is_empty() {
        return Err(wrong("it holds no certificate in PEM".to_owned()));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| wrong(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_goes_over_tls_or_stays_on_this_machine() {
        for good in
            ["https://scim.example.com/", "https://example.com/rollcall", "http://127.0.0.1:8080", "http://[::1]:1"]
        {
            assert!(address(good).is_ok_and(|url| !url.ends_with('/')), "{good}");
        }
        for bad in ["", "scim.example.com", "http://scim.example.com", "https://", "ftp://x", "https://x/?a=b"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_is_what_was_asked_for_or_says_why_not() {
        let of = |status: u16, body: &str| {
            answered::<u8>(StatusCode::from_u16(status).expect("a status"), body.as_bytes()).expect_err("refused")
        };
        assert_eq!(answered::<u8>(StatusCode::OK, b"7").expect("a number"), 7);
        assert!(of(200, "<html>").passes(), "another server is there for a while, say");
        assert!(matches!(of(404, "<html>"), Error::Unreachable(why) if why.contains("URL")));
        let refused = of(401, r#"{"code":"agent_invalid","message":"gone\u0007"}"#);
        assert!(!refused.passes() && refused.to_string() == "gone", "{refused:?}");
        assert!(of(409, r#"{"code":"state","message":"no"}"#).passes());
        assert!(of(429, r#"{"code":"refused","message":"slow"}"#).passes());
        assert!(of(503, r#"{"code":"refused","message":"later"}"#).to_string().contains("later"));
    }

    #[test]
    fn a_ca_is_one_or_several_certificates_in_pem() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("ca.pem");
        assert!(of_ca(&path).is_err());
        std::fs::write(&path, "no certificate").expect("written");
        assert!(of_ca(&path).expect_err("none").to_string().contains("no certificate"));
    }
}

//! The listener with a certificate: HTTPS by rustls, HTTP/1.1 by ALPN, and nothing but TLS.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    reason = "a test may stop and say why"
)]

mod support;

use std::sync::Arc;

use cloud_sim::Simulator;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn https_is_served_with_the_given_certificate() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["cci.example.com".to_owned()]).expect("a certificate");
    let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let paths = [cert.to_str().expect("a path"), key.to_str().expect("a path")];
    let options = support::options(dir.path(), &["--tls-cert", paths[0], "--tls-key", paths[1]]);
    let simulator = Simulator::start(options).await.expect("a simulator");

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(simulator.address()).await.expect("connected");
    let name = ServerName::try_from("cci.example.com").expect("a name");
    let mut stream = connector.connect(name, stream).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let request = "GET /api/v1/namespaces HTTP/1.1\r\nHost: cci.example.com\r\nX-Auth-Token: MIItoken\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("NamespaceList"), "{answer}");

    let mut plain = TcpStream::connect(simulator.address()).await.expect("connected");
    plain.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "plain HTTP is not answered");
    simulator.stop().await;
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = support::options(dir.path(), &["--tls-cert", "none.crt", "--tls-key", "none.key"]);
    let error = Simulator::start(options).await.err().expect("refused");
    assert!(format!("{error:#}").contains("--tls-cert none.crt"), "{error:#}");
}

//! A port with its own CA, and clients of it.

use std::net::SocketAddr;
use std::sync::Arc;

use provider_bridge::kubelet::{Auth, KubeletServer, KubeletTls, Reviewer, ServingCertificate, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::fake::{Cloud, Fake, Rules};

/// A certificate authority of one test.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for 127.0.0.1, for either side.
    pub(crate) fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}

/// A running port; it ends with the value.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) cloud: Arc<Cloud>,
    _running: DropGuard,
    _files: tempfile::TempDir,
}

/// Opens a port for node `vn-1` whose rules are [`Rules`].
pub(crate) async fn port() -> Port {
    with_reviewer(Some(Arc::new(Rules))).await
}

pub(crate) async fn with_reviewer(reviewer: Option<Arc<dyn Reviewer>>) -> Port {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.issue("vn-1");
    let path = |name: &str| files.path().join(name);
    std::fs::write(path("tls.crt"), certificate.pem()).unwrap();
    std::fs::write(path("tls.key"), key.serialize_pem()).unwrap();
    std::fs::write(path("ca.crt"), &authority.pem).unwrap();
    let serving = ServingCertificate::Files { certificate: path("tls.crt"), key: path("tls.key") };
    let tls = Arc::new(KubeletTls::load(&TlsOptions { serving, client_ca: Some(path("ca.crt")) }).unwrap());
    let cloud = Arc::new(Cloud::default());
    let server = KubeletServer {
        node: "vn-1".to_owned(),
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls,
        auth: Arc::new(Auth::new(reviewer)),
        backend: Arc::new(Fake(Arc::clone(&cloud))),
    };
    let listening = server.bind().await.unwrap();
    let (address, cancel) = (listening.local_addr().unwrap(), CancellationToken::new());
    tokio::spawn(listening.run(cancel.clone()));
    Port { address, authority, cloud, _running: cancel.drop_guard(), _files: files }
}

impl Port {
    /// A plain HTTP client; `certificate` is the name of a client certificate of the port's CA.
    pub(crate) fn http(&self, certificate: Option<&str>) -> reqwest::Client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.der.clone()).unwrap();
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let config = match certificate.map(|name| self.authority.issue(name)) {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().build().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// GET as `admin`.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let reply = self.http(None).get(self.url(path)).bearer_auth("admin").send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    }
}

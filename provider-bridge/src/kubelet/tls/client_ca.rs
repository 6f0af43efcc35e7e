//! Which client certificates are believed: those of the authorities in one PEM file, which may be replaced any time.
//! rustls holds one verifier for ever, so this one delegates to the current one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::{Seen, TlsError, content, read};

#[derive(Debug)]
struct Current(Arc<dyn ClientCertVerifier>);

/// Optional client authentication against a file of authorities.
#[derive(Debug)]
pub(super) struct ClientCa {
    path: PathBuf,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
    seen: Seen,
}

impl ClientCa {
    pub(super) fn load(path: &Path, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let (pem, seen) = (read(path)?, Seen::default());
        seen.is_new(&[&pem]);
        let current = ArcSwap::from_pointee(verifier(path, &pem, &provider)?);
        Ok(Self { path: path.to_owned(), provider, current, seen })
    }

    /// True when other authorities are believed from now on.
    pub(super) fn refresh(&self) -> Result<bool, TlsError> {
        let pem = read(&self.path)?;
        if !self.seen.is_new(&[&pem]) {
            return Ok(false);
        }
        self.current.store(Arc::new(verifier(&self.path, &pem, &self.provider)?));
        Ok(true)
    }
}

fn verifier(path: &Path, pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Current, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| content(path, &error))?;
        roots.add(certificate).map_err(|error| content(path, &error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder.allow_unauthenticated().build().map(Current).map_err(|error| content(path, &error))
}

impl ClientCertVerifier for ClientCa {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Hints would be borrowed from a verifier that may be replaced; without them clients offer what they have.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.current.load().0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().0.supported_verify_schemes()
    }
}

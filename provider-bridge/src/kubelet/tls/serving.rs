//! The certificate that the port shows: from files, or self-signed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Seen, ServingCertificate, TlsError, content, read};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// A self-signed certificate is valid for a year and replaced after half of it.
const RENEW_AFTER: Duration = DAY.saturating_mul(180);

/// Resolves every handshake to the current certificate.
#[derive(Debug)]
pub(super) struct Serving {
    source: ServingCertificate,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
    seen: Seen,
    made: Mutex<Instant>,
}

impl Serving {
    pub(super) fn load(source: &ServingCertificate, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let seen = Seen::default();
        let current = match source {
            ServingCertificate::Files { certificate, key } => {
                let (chain, secret) = (read(certificate)?, read(key)?);
                seen.is_new(&[&chain, &secret]);
                from_pem(certificate, &chain, key, &secret, &provider)?
            }
            ServingCertificate::SelfSigned { names } => self_signed(names, &provider)?,
        };
        let current = ArcSwap::from_pointee(current);
        Ok(Self { source: source.clone(), provider, current, seen, made: Mutex::new(Instant::now()) })
    }

    /// True when another certificate is shown from now on.
    pub(super) fn refresh(&self) -> Result<bool, TlsError> {
        let new = match &self.source {
            ServingCertificate::Files { certificate, key } => {
                let (chain, secret) = (read(certificate)?, read(key)?);
                if !self.seen.is_new(&[&chain, &secret]) {
                    return Ok(false);
                }
                from_pem(certificate, &chain, key, &secret, &self.provider)?
            }
            ServingCertificate::SelfSigned { names } => {
                let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
                if made.elapsed() < RENEW_AFTER {
                    return Ok(false);
                }
                *made = Instant::now();
                self_signed(names, &self.provider)?
            }
        };
        self.current.store(Arc::new(new));
        Ok(true)
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn from_pem(
    certificate: &Path,
    chain: &[u8],
    key: &Path,
    secret: &[u8],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| content(certificate, &error))?;
    if chain.is_empty() {
        return Err(content(certificate, &"no certificate in this file"));
    }
    // The parser's error could quote the file: say no more than that it is not a key.
    let secret =
        PrivateKeyDer::from_pem_slice(secret).map_err(|_| content(key, &"no private key in this file"))?;
    CertifiedKey::from_der(chain, secret, provider).map_err(|error| content(certificate, &error))
}

fn self_signed(names: &[String], provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let refused = |reason: String| TlsError::SelfSigned { names: names.to_vec(), reason };
    let key = KeyPair::generate().map_err(|error| refused(error.to_string()))?;
    let mut params = CertificateParams::new(names).map_err(|error| refused(error.to_string()))?;
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("virtual-node", String::as_str));
    let today = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let begin = today.yesterday().unwrap_or(today);
    let end = today.saturating_add(jiff::Span::new().days(365));
    params.not_before =
        rcgen::date_time_ymd(begin.year().into(), positive(begin.month()), positive(begin.day()));
    params.not_after = rcgen::date_time_ymd(end.year().into(), positive(end.month()), positive(end.day()));
    let certificate = params.self_signed(&key).map_err(|error| refused(error.to_string()))?;
    let secret = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| refused(error.to_owned()))?;
    Ok(CertifiedKey::from_der(vec![certificate.der().clone()], secret, provider)?)
}

fn positive(n: i8) -> u8 {
    u8::try_from(n).unwrap_or(1)
}

//! The lab's own certificate authority and service account key, made anew for each lab.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// A certificate with its key, as files.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM certificate.
    pub cert: PathBuf,
    /// PEM private key (PKCS#8).
    pub key: PathBuf,
}

/// A certificate authority that writes into one folder.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new authority; `ca.crt` and `ca.key` are in `dir`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("burst-lab-ca", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let cert = params.self_signed(&key)?;
        std::fs::write(dir.join("ca.crt"), cert.pem())?;
        std::fs::write(dir.join("ca.key"), key.serialize_pem())?;
        Ok(Self { dir: dir.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// Where the CA certificate is.
    pub fn ca_cert(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// Where the CA key is.
    pub fn ca_key(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    /// Issues a certificate for `common_name`, member of `groups`, valid for `hosts` (names and addresses).
    ///
    /// # Errors
    /// When a host is not a name or address, or the folder cannot be written.
    pub fn issue(&self, common_name: &str, groups: &[&str], hosts: &[&str]) -> Result<Issued> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name = name(common_name, groups);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let cert = params.signed_by(&key, &self.issuer)?;
        let file = common_name.replace([':', '/'], "-");
        let issued =
            Issued { cert: self.dir.join(format!("{file}.crt")), key: self.dir.join(format!("{file}.key")) };
        std::fs::write(&issued.cert, cert.pem())?;
        std::fs::write(&issued.key, key.serialize_pem())?;
        Ok(issued)
    }

    /// Makes a key pair for service account tokens: (`public key`, `private key`).
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn service_account_key(&self) -> Result<(PathBuf, PathBuf)> {
        let key = KeyPair::generate()?;
        let (public, private) = (self.dir.join("sa.pub"), self.dir.join("sa.key"));
        std::fs::write(&public, key.public_key_pem())?;
        std::fs::write(&private, key.serialize_pem())?;
        Ok((public, private))
    }
}

fn name(common_name: &str, groups: &[&str]) -> DistinguishedName {
    let mut dn = DistinguishedName::new();
    dn.push(DnType::CommonName, common_name);
    // X.509 allows several organisations, this library one of each type: enough for Kubernetes' one group per client here.
    if let Some(group) = groups.first() {
        dn.push(DnType::OrganizationName, *group);
    }
    dn
}

//! The user of a client certificate: common name, and organisations as groups ("X509 client certificates" in the
//! Kubernetes documentation on authentication). Verification is TLS's work; this only reads.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::User;

/// `None` when the certificate cannot be parsed or has no common name.
pub(crate) fn user_of_certificate(der: &[u8]) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok().filter(|name| !name.is_empty())?.to_owned();
    let groups =
        subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_owned).collect();
    Some(User { name, groups, ..User::default() })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn common_name_and_organisation() {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver-kubelet-client");
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let user = user_of_certificate(der.der()).unwrap();
        assert_eq!(user.name, "kube-apiserver-kubelet-client");
        assert_eq!(user.groups, ["system:masters"]);
    }

    #[test]
    fn nobody_without_a_common_name() {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(user_of_certificate(der.der()), None);
        assert_eq!(user_of_certificate(b"junk"), None);
    }
}

//! Files of the port: what is wrong with them is said, and changes are noticed.

use rcgen::{CertificateParams, KeyPair};

use super::*;

fn pair(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn files(folder: &Path) -> TlsOptions {
    TlsOptions {
        serving: ServingCertificate::Files {
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
        },
        client_ca: Some(folder.join("ca.crt")),
    }
}

fn fill(folder: &Path, serving: &(String, String), ca: &str) {
    std::fs::write(folder.join("tls.crt"), &serving.0).unwrap();
    std::fs::write(folder.join("tls.key"), &serving.1).unwrap();
    std::fs::write(folder.join("ca.crt"), ca).unwrap();
}

#[test]
fn errors_name_the_file_and_never_quote_a_key() {
    let (good, other) = (pair("a.example"), pair("b.example"));
    let cases = [
        ((good.0.clone(), "junk".to_owned()), good.0.clone(), "tls.key: no private key in this file"),
        (("".to_owned(), good.1.clone()), good.0.clone(), "tls.crt: no certificate in this file"),
        ((good.0.clone(), other.1), good.0.clone(), "tls.crt: "),
        (good, "junk".to_owned(), "ca.crt: "),
    ];
    for (serving, ca, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), &serving, &ca);
        let error = KubeletTls::load(&files(folder.path())).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let missing = KubeletTls::load(&files(Path::new("/nonexistent"))).err().unwrap().to_string();
    assert!(missing.starts_with("/nonexistent/tls.crt: "), "{missing}");
}

#[test]
fn changes_are_noticed_once_and_broken_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (pair("a.example"), pair("b.example"));
    fill(folder.path(), &first, &first.0);
    let tls = KubeletTls::load(&files(folder.path())).unwrap();
    assert!(!tls.refresh().unwrap());
    fill(folder.path(), &second, &first.0);
    assert!(tls.refresh().unwrap());
    assert!(!tls.refresh().unwrap());
    fill(folder.path(), &second, "junk");
    assert!(tls.refresh().is_err());
    fill(folder.path(), &second, &second.0);
    assert!(tls.refresh().unwrap());
}

#[test]
fn self_signed_when_asked() {
    let names = vec!["vn-1".to_owned(), "198.18.0.1".to_owned()];
    let options = TlsOptions { serving: ServingCertificate::SelfSigned { names }, client_ca: None };
    let tls = KubeletTls::load(&options).unwrap();
    assert_eq!(tls.config().alpn_protocols, [b"http/1.1".to_vec()]);
    assert!(!tls.refresh().unwrap());
}

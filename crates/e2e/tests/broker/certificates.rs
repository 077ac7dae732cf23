//! Certificates, made on the spot: a CA, and what it signs.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::fs;
use std::path::PathBuf;
use uuid::Uuid;

/// A folder of PEM files, gone when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn create() -> Self {
        let folder = std::env::temp_dir().join(format!("ncs-broker-{}", Uuid::now_v7().simple()));
        fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }

    /// Writes a file, and returns where it is.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let file = self.0.join(name);
        fs::write(&file, content).expect("written");
        file
    }

    /// A file that is not there.
    pub(crate) fn missing(&self) -> PathBuf {
        self.0.join("missing.pem")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A CA.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) folder: Folder,
    /// Its own certificate.
    pub(crate) certificate: PathBuf,
}

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
        let folder = Folder::create();
        Self {
            certificate: folder.write("ca.pem", &issuer.pem()),
            issuer,
            folder,
        }
    }

    /// A certificate for a server of these names and addresses.
    pub(crate) fn server(&self, names: &[&str]) -> Pair {
        self.sign(names, |_| ())
    }

    /// The same, changed before it is signed.
    pub(crate) fn sign(&self, names: &[&str], change: impl Fn(&mut CertificateParams)) -> Pair {
        let names: Vec<_> = names.iter().copied().map(String::from).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, "test");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let name = Uuid::now_v7().simple().to_string();
        Pair {
            certificate: self.folder.write(&format!("{name}.pem"), &signed.pem()),
            key: self
                .folder
                .write(&format!("{name}.key"), &key.serialize_pem()),
        }
    }

    /// The CA's own certificate and key, as a careless server uses them.
    pub(crate) fn own(&self) -> Pair {
        let key = self.issuer.key().serialize_pem();
        Pair {
            certificate: self.certificate.clone(),
            key: self.folder.write("ca.key", &key),
        }
    }
}

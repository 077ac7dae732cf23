//! TLS to the broker: whom to trust, who we are, and what it means when a handshake fails.
//!
//! lapin would take the same files as an `OwnedTLSConfig`. It is not used, for these reasons: it adds a
//! private CA to the system's roots instead of trusting that one alone, and gives up where the system
//! has none, as in a slim container; and it reads everything at each connection, so that a mistake in
//! a file is told late and without the file's name. What lapin builds from it is built here, once.

use crate::files;
use crate::{Address, BrokerError};
use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, InconsistentKeys, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CA_FLAG: &str = "--tls-ca";
const CERT_FLAG: &str = "--tls-cert";
const KEY_FLAG: &str = "--tls-key";

/// A bundle of all public CAs has some 220 kB.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// The PEM files that TLS needs, as the command line names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// `--tls-ca`: certificates of the CAs that may vouch for the broker. With it, the system's are
    /// not trusted: a fleet with a CA of its own wants no other.
    pub ca: Option<PathBuf>,
    /// `--tls-cert` and `--tls-key`: what the broker may ask for.
    pub identity: Option<Identity>,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and the CA.
    pub certificate: PathBuf,
    /// Its private key, unencrypted: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// What a handshake needs, read once.
pub(crate) struct Tls {
    connector: RustlsConnector,
    files: TlsFiles,
}

impl TlsFiles {
    /// The flag, with its variable, to name when TLS is not wanted.
    pub(crate) fn first_flag(&self) -> Option<&'static str> {
        let ca = self.ca.as_ref().map(|_| "--tls-ca (NCS_TLS_CA)");
        let identity = self.identity.as_ref();
        ca.or(identity.map(|_| "--tls-cert (NCS_TLS_CERT)"))
    }
}

impl Tls {
    /// Reads the files, and without a CA's the system's certificates (`SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` say where else they are).
    pub(crate) fn read(files: &TlsFiles) -> Result<Self, BrokerError> {
        let roots = match &files.ca {
            Some(file) => {
                let mut roots = RustlsConnectorConfig::default();
                roots.add_parsable_certificates(roots_in(file)?);
                roots
            }
            None => RustlsConnectorConfig::new_with_native_certs().map_err(|error| {
                misconfigured(format!(
                    "this system has no CA certificates ({error}); install ca-certificates, or give \
                     the broker's own CA with {CA_FLAG}"
                ))
            })?,
        };
        let connector = match &files.identity {
            None => roots.connector_with_no_client_auth(),
            Some(identity) => {
                let chain = certificates_in(&identity.certificate, CERT_FLAG)?;
                roots.connector_with_single_cert(chain, key_in(&identity.key)?)
            }
        };
        Ok(Self {
            connector: connector.map_err(|error| files.do_not_fit(&error))?,
            files: files.clone(),
        })
    }

    pub(crate) fn connector(&self) -> &RustlsConnector {
        &self.connector
    }

    pub(crate) fn files(&self) -> &TlsFiles {
        &self.files
    }
}

/// The same trust and the same identity for HTTPS.
pub(crate) fn for_https(files: &TlsFiles) -> Result<ureq::tls::TlsConfig, BrokerError> {
    use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
    let own = |certificates: &[CertificateDer<'_>]| -> Vec<Certificate<'static>> {
        let own = |certificate: &CertificateDer<'_>| Certificate::from_der(certificate).to_owned();
        certificates.iter().map(own).collect()
    };
    let roots = match &files.ca {
        Some(file) => roots_in(file)?,
        // A file among them that cannot be read leaves fewer to trust.
        None => rustls_native_certs::load_native_certs().certs,
    };
    let identity = match &files.identity {
        None => None,
        Some(identity) => {
            let chain = certificates_in(&identity.certificate, CERT_FLAG)?;
            let pem = files::read(&identity.key, KEY_FLAG, MAX_PEM_BYTES)?;
            let key = PrivateKey::from_pem(&pem).map_err(|_| {
                // Its own error may quote the file.
                let shown = identity.key.display();
                misconfigured(format!(
                    "{shown} ({KEY_FLAG}) holds no private key that HTTPS can use; expected PEM"
                ))
            })?;
            Some(ClientCert::new_with_certs(&own(&chain), key))
        }
    };
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&own(&roots)))
        .client_cert(identity)
        .build())
}

/// The certificates of CAs, each of which can be trusted.
fn roots_in(file: &Path) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let certificates = certificates_in(file, CA_FLAG)?;
    for (number, certificate) in (1..).zip(&certificates) {
        // Building the connector would pass over those that it cannot use.
        let added = RootCertStore::empty().add(certificate.clone());
        added.map_err(|error| {
            let file = file.display();
            misconfigured(format!(
                "certificate {number} in {file} ({CA_FLAG}) cannot be used: {error}; give the CA's \
                 certificate"
            ))
        })?;
    }
    Ok(certificates)
}

fn certificates_in(file: &Path, flag: &str) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    let pem = files::read(file, flag, MAX_PEM_BYTES)?;
    let shown = file.display();
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| misconfigured(format!("{shown} ({flag}) is broken PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(misconfigured(format!(
            "{shown} ({flag}) holds no certificate; expected PEM, -----BEGIN CERTIFICATE-----"
        )));
    }
    Ok(certificates)
}

/// An error shows nothing of the file.
fn key_in(file: &Path) -> Result<PrivateKeyDer<'static>, BrokerError> {
    let pem = files::read(file, KEY_FLAG, MAX_PEM_BYTES)?;
    let shown = file.display();
    let encrypted = pem.windows(9).any(|window| window == b"ENCRYPTED");
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        misconfigured(match error {
            _ if encrypted => format!(
                "the key in {shown} ({KEY_FLAG}) is encrypted; decrypt it with openssl pkey -in \
                 {shown} -out FILE, and let nobody else read FILE"
            ),
            pem::Error::NoItemsFound => format!(
                "{shown} ({KEY_FLAG}) holds no private key; expected PEM, -----BEGIN PRIVATE KEY-----"
            ),
            _ => format!("{shown} ({KEY_FLAG}) is broken PEM"),
        })
    })
}

impl TlsFiles {
    /// Files that can be read and not be used together.
    fn do_not_fit(&self, error: &io::Error) -> BrokerError {
        let Some(Identity { certificate, key }) = &self.identity else {
            return misconfigured(format!("TLS cannot be used: {error}"));
        };
        let (certificate, key) = (certificate.display(), key.display());
        misconfigured(match of_rustls(error) {
            Some(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => format!(
                "the key in {key} ({KEY_FLAG}) does not belong to the first certificate in \
                 {certificate} ({CERT_FLAG}); give the pair that was made together"
            ),
            _ => format!(
                "{certificate} ({CERT_FLAG}) and {key} ({KEY_FLAG}) cannot be used: {error}; give a \
                 certificate and its RSA, ECDSA or Ed25519 key"
            ),
        })
    }
}

fn misconfigured(what: String) -> BrokerError {
    BrokerError::Misconfigured(what)
}

/// What rustls says of it, if it is about TLS.
fn of_rustls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Sorts an error of a connection with TLS; `None` if it is not about TLS.
///
/// With TLS 1.3 the broker judges our certificate when the handshake is over for us, so its alert may
/// come with the first read of AMQP.
pub(crate) fn sort(address: &Address, error: &io::Error) -> Option<BrokerError> {
    let files = &address.tls()?.files;
    let sorted = |reason: String, remedy: String, temporary: bool| BrokerError::Unusable {
        address: address.clone(),
        reason,
        remedy,
        temporary,
    };
    let unusable = |reason, remedy| sorted(reason, remedy, false);
    Some(match of_rustls(error)? {
        // Hosts without a battery start in the past until they have reached a time server.
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => sorted(
            "its certificate is not valid yet, by the clock of this host".to_owned(),
            "set the clock, or make another one".to_owned(),
            true,
        ),
        rustls::Error::InvalidCertificate(why) => {
            let (reason, remedy) = distrust(why, files);
            unusable(format!("its certificate {reason}"), remedy)
        }
        rustls::Error::AlertReceived(AlertDescription::InternalError) => return None,
        rustls::Error::AlertReceived(alert) => {
            let (reason, remedy) = alerted(*alert, files);
            unusable(reason, remedy)
        }
        rustls::Error::InvalidMessage(_) => unusable(
            "it does not speak TLS on this port".to_owned(),
            "give the port of its TLS listener, usually 5671, or amqp:// to go without TLS"
                .to_owned(),
        ),
        error => unusable(
            format!("TLS fails: {error}"),
            "see the broker's log".to_owned(),
        ),
    })
}

/// Why we do not trust the broker's certificate, and the remedy.
fn distrust(why: &CertificateError, files: &TlsFiles) -> (String, String) {
    match why {
        CertificateError::UnknownIssuer => match &files.ca {
            None => (
                "is signed by a CA that this system does not know".to_owned(),
                format!("give that CA's certificate with {CA_FLAG} FILE"),
            ),
            Some(ca) => (
                format!("is not signed by the CA in {} ({CA_FLAG})", ca.display()),
                format!("give the certificate of the CA that has signed it with {CA_FLAG}"),
            ),
        },
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let host = expected.to_str();
            let remedy = if presented.is_empty() {
                format!("make one with {host} as subject alternative name; its CN does not count")
            } else {
                format!("give the broker's address by such a name, or make one that names {host}")
            };
            let names = match presented.join(", ") {
                none if none.is_empty() => "no host".to_owned(),
                names => names,
            };
            (format!("names {names}, and not {host}"), remedy)
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "has expired, by the clock of this host".to_owned(),
            "renew it, or set the clock".to_owned(),
        ),
        // A name of rustls-webpki, which does not come through as a variant.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => (
            "is that of a CA, as openssl req -x509 makes it".to_owned(),
            "sign one for the broker with it, with basicConstraints=CA:FALSE".to_owned(),
        ),
        other => (
            format!("cannot be trusted: {other}"),
            "give the broker another one".to_owned(),
        ),
    }
}

/// Why the broker ends the handshake, and the remedy.
fn alerted(alert: AlertDescription, files: &TlsFiles) -> (String, String) {
    use AlertDescription as Alert;
    let about_us = matches!(
        alert,
        Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
    );
    match &files.identity {
        None if about_us => (
            "it wants a client certificate".to_owned(),
            format!("give one with {CERT_FLAG} and {KEY_FLAG}"),
        ),
        Some(Identity { certificate, .. }) if about_us => (
            format!(
                "it does not accept the certificate in {} ({CERT_FLAG}): alert {alert:?}",
                certificate.display()
            ),
            "give one that is valid and signed by a CA that the broker trusts".to_owned(),
        ),
        // Before TLS 1.3 there was no alert of its own for a missing certificate.
        None if alert == Alert::HandshakeFailure => (
            ended(alert),
            format!(
                "it may want a client certificate: give one with {CERT_FLAG} and {KEY_FLAG}; else \
                 see the broker's log"
            ),
        ),
        _ => (ended(alert), "see the broker's log".to_owned()),
    }
}

fn ended(alert: AlertDescription) -> String {
    format!("it ends the TLS handshake with the alert {alert:?}")
}

//! Servers that are no brokers.

use crate::certificates::Pair;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Nobody waits for a server's side for longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Accepts connections for as long as the tests run, and lets `serve` have each.
fn server(mut serve: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || listener.incoming().flatten().for_each(&mut serve));
    address
}

/// Reads something, answers this whatever it was, and hangs up.
pub(crate) fn answering(answer: &'static [u8]) -> SocketAddr {
    server(move |mut stream| {
        let _ = stream.read(&mut [0; 256]);
        let _ = stream.write_all(answer);
    })
}

/// Accepts, and hangs up at once.
pub(crate) fn closing() -> SocketAddr {
    server(drop)
}

/// Accepts, and never says a word.
pub(crate) fn silent() -> SocketAddr {
    let mut kept = Vec::new();
    server(move |stream| kept.push(stream))
}

/// Shows this certificate, and never says a word after the handshake.
pub(crate) fn silent_with_tls(pair: &Pair) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(&pair.certificate)
        .and_then(Iterator::collect)
        .expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
    let provider = rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they fit");
    let config = Arc::new(config);
    let mut kept = Vec::new();
    server(move |mut stream| {
        let _ = stream.set_read_timeout(Some(LIMIT));
        let mut tls = ServerConnection::new(Arc::clone(&config)).expect("TLS");
        while tls.is_handshaking() && tls.complete_io(&mut stream).is_ok() {}
        kept.push((tls, stream));
    })
}

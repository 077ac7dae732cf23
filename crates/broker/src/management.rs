//! RabbitMQ's management plugin: what AMQP does not tell, asked over HTTP.
//!
//! It is asked as the user of the broker's address, whose password does not leave this crate. Neither a
//! redirection nor a proxy of the environment is followed: the password would go along.

use crate::tls;
use crate::{Address, BrokerError};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::io;
use std::time::Duration;
use ureq::http::Uri;

/// For one question, from the name's resolution to the last byte. A busy broker takes some 100 ms.
const LIMIT: Duration = Duration::from_secs(5);

/// The largest answer: some 20,000 queues or consumers with the few columns that we ask for.
const MAX_BYTES: u64 = 8 << 20;

/// Of an answer that declines, so much is read for the reason in it.
const MAX_REASON_BYTES: u64 = 4096;

/// Where the plugin listens by default, without and with TLS.
const PORT: u16 = 15672;
const TLS_PORT: u16 = 15671;

/// What its flag is called, for errors.
const FLAG: &str = "--management-url";

/// The management API of a broker. Its calls block.
#[derive(Clone)]
pub struct Management {
    agent: ureq::Agent,
    /// `http://host:port`, perhaps with a path; no credentials.
    url: String,
    /// The header's value: holds the password.
    authorization: String,
    vhost: String,
}

/// The management API did not answer a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManagementError {
    /// Nothing answers there, or nothing that can be trusted.
    #[error(
        "RabbitMQ's management API does not answer at {url} ({reason}); on the broker, \
         rabbitmq-plugins enable rabbitmq_management, or say where it is with {FLAG}"
    )]
    NoAnswer {
        /// Where.
        url: String,
        /// What is known about it.
        reason: String,
    },
    /// TLS fails with it: mostly nobody who is trusted vouches for its certificate.
    #[error(
        "RabbitMQ's management API at {url} cannot be trusted ({reason}); with amqps://, give the \
         certificate of the CA that has signed its own with --tls-ca"
    )]
    Untrusted {
        /// Where.
        url: String,
        /// What TLS says.
        reason: String,
    },
    /// It declines the user.
    #[error(
        "RabbitMQ's management API at {url} declines this user ({reason}); on the broker, \
         rabbitmqctl set_user_tags USER monitoring"
    )]
    Declined {
        /// Where.
        url: String,
        /// What it says.
        reason: String,
    },
    /// It cannot answer: for example, its configuration has its figures switched off.
    #[error(
        "RabbitMQ's management API at {url} does not tell ({reason}); see the broker's rabbitmq.conf \
         (management_agent.disable_metrics_collector) and its log"
    )]
    Unable {
        /// Where.
        url: String,
        /// What it says.
        reason: String,
    },
    /// Its answer is none that we know.
    #[error(
        "{url} does not answer as RabbitMQ's management API does ({reason}); say where that is with \
         {FLAG}"
    )]
    Odd {
        /// Where.
        url: String,
        /// What is odd.
        reason: String,
    },
}

impl Management {
    /// Beside the broker: on its host, at the plugin's own port.
    pub fn beside(address: &Address) -> Result<Self, BrokerError> {
        let (host, _) = address.host_and_port();
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let url = match address.tls() {
            None => format!("http://{host}:{PORT}"),
            Some(_) => format!("https://{host}:{TLS_PORT}"),
        };
        Self::new(url, address)
    }

    /// Where a person says it is. Its user and virtual host are still those of the broker's address.
    pub fn at(url: &str, address: &Address) -> Result<Self, BrokerError> {
        let refuse = |why: &str| {
            Err(BrokerError::Misconfigured(format!(
                "{FLAG} {why}; expected http://host:15672 or https://host:15671"
            )))
        };
        // Not shown: what stands before the @ may be a password.
        if url.contains('@') {
            return refuse("takes no user and password: they are those of the broker's URL");
        }
        let url = url.trim_end_matches('/');
        let Ok(uri) = url.parse::<Uri>() else {
            return refuse(&format!("'{url}' is no URL"));
        };
        match uri.scheme_str() {
            Some("http" | "https") if uri.query().is_none() => {}
            _ => return refuse(&format!("'{url}' is not the URL of a web server")),
        }
        Self::new(url.trim_end_matches("/api").to_owned(), address)
    }

    fn new(url: String, address: &Address) -> Result<Self, BrokerError> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("ncs-fleet/", env!("CARGO_PKG_VERSION")));
        let config = if url.starts_with("https") {
            let files = address.tls().map(|tls| tls.files().clone());
            config.tls_config(tls::for_https(&files.unwrap_or_default())?)
        } else {
            config
        };
        let uri = address.uri();
        let user = &uri.authority.userinfo;
        let credentials = format!("{}:{}", user.username, user.password);
        Ok(Self {
            agent: config.build().into(),
            url,
            authorization: format!("Basic {}", BASE64_STANDARD.encode(credentials)),
            vhost: escaped(&uri.vhost),
        })
    }

    /// Where it is, without credentials.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET /api/<path>`, with `{vhost}` in it for the broker's virtual host: the answer's body. Blocks for
    /// 5 s at most.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, ManagementError> {
        let path = path.replace("{vhost}", &self.vhost);
        let answer = self
            .agent
            .get(format!("{}/api/{path}", self.url))
            .header("Authorization", &self.authorization)
            .header("Accept", "application/json")
            .call();
        let mut answer = answer.map_err(|error| self.no_answer(&error))?;
        let status = answer.status().as_u16();
        let limit = if status == 200 {
            MAX_BYTES
        } else {
            MAX_REASON_BYTES
        };
        let body = answer.body_mut().with_config().limit(limit).read_to_vec();
        if status == 200 {
            return body.map_err(|error| self.no_answer(&error));
        }
        let url = self.url.clone();
        let said = reason(&body.unwrap_or_default());
        Err(match (status, said) {
            (401 | 403, said) => {
                let reason = said.unwrap_or_else(|| format!("status {status}"));
                ManagementError::Declined { url, reason }
            }
            (_, Some(reason)) => ManagementError::Unable { url, reason },
            (_, None) => self.odd(&format!("status {status}")),
        })
    }

    /// An answer that is not what was asked for.
    #[must_use]
    pub fn odd(&self, reason: &str) -> ManagementError {
        ManagementError::Odd {
            url: self.url.clone(),
            reason: reason.to_owned(),
        }
    }

    fn no_answer(&self, error: &ureq::Error) -> ManagementError {
        let of_tls = match error {
            ureq::Error::Rustls(error) => Some(error),
            ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
            _ => None,
        };
        if let Some(error) = of_tls {
            return ManagementError::Untrusted {
                url: self.url.clone(),
                reason: error.to_string(),
            };
        }
        let reason = match error {
            ureq::Error::Timeout(_) => format!("nothing within {} s", LIMIT.as_secs()),
            ureq::Error::Protocol(_) => return self.odd("it speaks no HTTP"),
            ureq::Error::BodyExceedsLimit(limit) => {
                return self.odd(&format!("more than {limit} bytes"));
            }
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "nobody listens there".to_owned()
            }
            error => error.to_string(),
        };
        ManagementError::NoAnswer {
            url: self.url.clone(),
            reason,
        }
    }
}

/// The sentence in `{"error":"not_authorised","reason":"Not management user"}`.
fn reason(body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once(r#""reason":""#)?;
    let (reason, _) = rest.split_once('"')?;
    Some(reason.escape_debug().to_string())
}

/// As a part of a path.
fn escaped(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    fn address(url: &str) -> Address {
        url.parse().unwrap()
    }

    /// A server that gives everybody the same answer; what it was asked comes back.
    fn served(answer: Vec<u8>) -> (Result<Vec<u8>, ManagementError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut question = vec![0; 4096];
            let length = client.read(&mut question).unwrap();
            // An error: it has heard enough.
            let _ = client.write_all(&answer);
            String::from_utf8_lossy(&question[..length]).into_owned()
        });
        let broker = address("amqp://ann:s3cret@rabbit/fl%20eet");
        let management = Management::at(&url, &broker).unwrap();
        let got = management.get("queues/{vhost}?columns=name");
        (got, server.join().unwrap())
    }

    fn error_of(answer: &str) -> String {
        let (got, _) = served(answer.as_bytes().to_vec());
        let error = got.unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
        error
    }

    #[test]
    fn it_is_asked_as_the_brokers_user_about_the_brokers_virtual_host() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]".to_vec();
        let (got, question) = served(answer);
        assert_eq!(got.unwrap(), b"[]");
        assert!(
            question.starts_with("GET /api/queues/fl%20eet?columns=name HTTP/1.1\r\n"),
            "{question}"
        );
        // ann:s3cret
        let authorization = "authorization: basic YW5uOnMzY3JldA==\r\n";
        assert!(
            question
                .to_lowercase()
                .contains(&authorization.to_lowercase()),
            "{question}"
        );
    }

    #[test]
    fn what_is_no_answer_is_told_with_the_remedy() {
        let elsewhere = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\
                         Content-Length: 0\r\n\r\n";
        assert!(error_of(elsewhere).contains("status 302"));
        let broken = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        assert!(error_of(broken).contains("status 503"));
        assert!(error_of("AMQP\0\0\x09\x01 hello\r\n\r\n").contains("speaks no HTTP"));
        for (status, said, remedy) in [
            ("401 Unauthorized", "Not management user", "set_user_tags"),
            (
                "400 Bad Request",
                "Stats in management UI are disabled on this node",
                "disable_metrics_collector",
            ),
        ] {
            let body = format!(r#"{{"error":"…","reason":"{said}"}}"#);
            let length = body.len();
            let error = error_of(&format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
            assert!(error.contains(said) && error.contains(remedy), "{error}");
        }
    }

    #[test]
    fn an_answer_without_end_is_cut_off() {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec();
        answer.resize(answer.len() + 9_000_000, b' ');
        let (got, _) = served(answer);
        let error = got.unwrap_err().to_string();
        assert!(error.contains("more than 8388608 bytes"), "{error}");
    }

    #[test]
    fn it_is_looked_for_beside_the_broker() {
        for (broker, url) in [
            ("amqp://ann:s3cret@rabbit:5673/v", "http://rabbit:15672"),
            ("amqp://[fd00::7]", "http://[fd00::7]:15672"),
        ] {
            assert_eq!(Management::beside(&address(broker)).unwrap().url(), url);
        }
        let fleet = Management::beside(&address("amqp://h/a%2fb")).unwrap();
        assert_eq!(fleet.vhost, "a%2Fb");
        assert_eq!(
            Management::beside(&address("amqp://h")).unwrap().vhost,
            "%2F"
        );
    }

    #[test]
    fn another_place_is_a_web_servers_and_has_no_password() {
        let broker = address("amqp://ann:s3cret@rabbit");
        for url in [
            "http://rabbit:8080",
            "http://rabbit:8080/",
            "http://rabbit:8080/api/",
        ] {
            let management = Management::at(url, &broker).unwrap();
            assert_eq!(management.url(), "http://rabbit:8080");
        }
        for (url, said) in [
            ("http://bob:h1dden@rabbit:15672", "no user and password"),
            ("rabbit:15672", "'rabbit:15672'"),
            ("amqp://rabbit", "is not the URL of a web server"),
            ("", "is no URL"),
        ] {
            let error = Management::at(url, &broker).err().unwrap().to_string();
            assert!(error.contains(said) && error.contains(FLAG), "{error}");
            assert!(!error.contains("h1dden"), "{error}");
        }
    }

    #[test]
    fn the_reason_of_a_refusal_is_read_from_both_releases() {
        for (body, expected) in [
            (
                r#"{"error":"not_authorised","reason":"Not management user"}"#,
                Some("Not management user"),
            ),
            (
                r#"{"error":"not_authorized","reason":"Not_Authorized"}"#,
                Some("Not_Authorized"),
            ),
            ("<html>", None),
        ] {
            assert_eq!(reason(body.as_bytes()).as_deref(), expected);
        }
    }
}

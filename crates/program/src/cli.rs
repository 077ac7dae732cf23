//! What the command lines of both programs have in common.

#![expect(clippy::doc_markdown, reason = "help texts are not Markdown")]

use clap::builder::{PathBufValueParser, StringValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, Args, Command};
use ncs_broker::tls::{Identity, TlsFiles};
use ncs_broker::{Address, BrokerError, UncheckedAddress};
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::path::PathBuf;

/// The flag that may hold a password.
pub(crate) const URL_FLAG: &str = "--amqp-url";
/// The variable that takes its place.
pub(crate) const URL_VARIABLE: &str = "NCS_AMQP_URL";
/// The flag for a file instead.
pub(crate) const URL_FILE_FLAG: &str = "--amqp-url-file";
/// And its variable.
pub(crate) const URL_FILE_VARIABLE: &str = "NCS_AMQP_URL_FILE";

/// Which broker, and how to trust it.
#[derive(Debug, Args)]
pub struct BrokerArgs {
    /// The broker: amqp://user:password@host, or amqps:// for TLS; the nodes of a cluster as
    /// host1,host2,host3. A password is better off in the variable or in a file: a command line is
    /// visible to everybody on the host
    #[arg(
        long,
        env = URL_VARIABLE,
        hide_env_values = true,
        value_name = "URL",
        default_value = "amqp://localhost:5672",
        value_parser = Sourced(StringValueParser::new().map(UncheckedAddress::from))
    )]
    amqp_url: Given<UncheckedAddress>,
    /// A file that holds the broker's URL, instead of --amqp-url
    #[arg(
        long,
        env = URL_FILE_VARIABLE,
        value_name = "FILE",
        value_parser = Sourced(PathBufValueParser::new())
    )]
    amqp_url_file: Option<Given<PathBuf>>,
    /// With amqps://: certificates (PEM) of the CAs that may vouch for the broker, and no others
    /// [default: those that the system trusts]
    #[arg(long, env = "NCS_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// With amqps://: a client certificate (PEM), for brokers that ask for one
    #[arg(long, env = "NCS_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key (PEM) of --tls-cert
    #[arg(long, env = "NCS_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl BrokerArgs {
    /// The broker's address, with what TLS needs; files are read now. The command line goes before the
    /// environment.
    pub fn address(&self) -> Result<Address, BrokerError> {
        let tls = TlsFiles {
            ca: self.tls_ca.clone(),
            identity: self
                .tls_cert
                .clone()
                .zip(self.tls_key.clone())
                .map(|(certificate, key)| Identity { certificate, key }),
        };
        let url = &self.amqp_url;
        let Some(file) = &self.amqp_url_file else {
            return url.value.check(&tls);
        };
        match file.source.cmp(&url.source) {
            Ordering::Less => url.value.check(&tls),
            Ordering::Greater => UncheckedAddress::read(&file.value, URL_FILE_FLAG)?.check(&tls),
            Ordering::Equal => Err(BrokerError::Misconfigured(
                match file.source {
                    ValueSource::CommandLine => [URL_FLAG, URL_FILE_FLAG],
                    _ => [URL_VARIABLE, URL_FILE_VARIABLE],
                }
                .join(" and ")
                    + " both name the broker; give one of them",
            )),
        }
    }
}

/// A value, and whether it comes from the command line, the environment, or nowhere.
#[derive(Debug, Clone)]
struct Given<T> {
    value: T,
    source: ValueSource,
}

/// Parses a [`Given`].
#[derive(Clone)]
struct Sourced<P>(P);

impl<P: TypedValueParser> TypedValueParser for Sourced<P> {
    type Value = Given<P::Value>;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        self.parse_ref_(command, argument, value, ValueSource::CommandLine)
    }

    fn parse_ref_(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<Self::Value, clap::Error> {
        let value = self.0.parse_ref_(command, argument, value, source)?;
        Ok(Given { value, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        broker: BrokerArgs,
    }

    fn parse(arguments: &[&str]) -> Result<BrokerArgs, clap::Error> {
        Cli::try_parse_from(["program"].iter().chain(arguments)).map(|cli| cli.broker)
    }

    #[test]
    fn a_client_certificate_and_its_key_require_each_other() {
        for (given, missing) in [("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")] {
            let error = parse(&[given, "file.pem"]).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
        }
        assert!(parse(&["--tls-cert", "c.pem", "--tls-key", "k.pem"]).is_ok());
    }

    #[test]
    fn two_addresses_on_the_command_line_are_refused_and_not_shown() {
        let url = "amqp://ann:s3cret@rabbit";
        let both = parse(&["--amqp-url", url, "--amqp-url-file", "url"]).unwrap();
        assert!(!format!("{both:?}").contains("s3cret"));
        let error = both.address().unwrap_err().to_string();
        assert!(error.contains("--amqp-url and --amqp-url-file"), "{error}");
    }
}

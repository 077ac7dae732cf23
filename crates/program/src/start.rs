//! The start of a program, before it reads its command line.

use crate::cli::{URL_FILE_FLAG, URL_FILE_VARIABLE, URL_FLAG, URL_VARIABLE};
use std::ffi::{OsStr, OsString};

/// Takes a password off the command line, where everybody on the host can read it: starts this process
/// anew, under its id, with the broker's URL in the environment, which is its owner's alone to read.
///
/// Comes back where there is nothing to hide, and with a warning where it cannot be hidden.
pub fn hide_password() {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let Some(hidden) = Hidden::from(&arguments) else {
        return;
    };
    let error = hidden.start_anew(&arguments);
    // Logging has not started yet.
    eprintln!(
        "warning: the password in {URL_FLAG} stays visible to everybody on this host ({error}); set \
         {URL_VARIABLE} instead"
    );
}

/// A command line without the broker's URL.
#[derive(Debug, PartialEq, Eq)]
struct Hidden {
    url: String,
    /// The others, without the program's name.
    arguments: Vec<OsString>,
}

impl Hidden {
    /// None without credentials, and for a command line that will be refused.
    fn from(arguments: &[OsString]) -> Option<Self> {
        let mut urls = Vec::new();
        let mut others = Vec::new();
        let mut rest = arguments.iter().skip(1);
        while let Some(argument) = rest.next() {
            if argument == URL_FLAG {
                urls.push(rest.next()?.to_str()?);
            } else if let Some(url) = value_of(URL_FLAG, argument) {
                urls.push(url);
            } else if argument == URL_FILE_FLAG || value_of(URL_FILE_FLAG, argument).is_some() {
                // Two addresses: that is to be told, and in the environment it would not be seen.
                return None;
            } else {
                others.push(argument.clone());
            }
        }
        let [url] = urls[..] else { return None };
        // Whatever is wrong with it otherwise: before an @ there are credentials.
        url.contains('@').then(|| Self {
            url: url.to_owned(),
            arguments: others,
        })
    }

    #[cfg(unix)]
    fn start_anew(&self, arguments: &[OsString]) -> std::io::Error {
        use std::os::unix::process::CommandExt;
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => return error,
        };
        let mut command = std::process::Command::new(program);
        if let Some(name) = arguments.first() {
            command.arg0(name);
        }
        command
            .args(&self.arguments)
            .env(URL_VARIABLE, &self.url)
            // The flag goes before this variable, and the variable would not.
            .env_remove(URL_FILE_VARIABLE)
            .exec()
    }

    #[cfg(not(unix))]
    fn start_anew(&self, _arguments: &[OsString]) -> std::io::Error {
        std::io::ErrorKind::Unsupported.into()
    }
}

/// `--flag=value` → `value`
fn value_of<'a>(flag: &str, argument: &'a OsStr) -> Option<&'a str> {
    argument.to_str()?.strip_prefix(flag)?.strip_prefix('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(arguments: &[&str]) -> Option<(String, Vec<String>)> {
        let arguments: Vec<_> = ["program"]
            .iter()
            .chain(arguments)
            .map(OsString::from)
            .collect();
        let Hidden { url, arguments } = Hidden::from(&arguments)?;
        let arguments = arguments
            .iter()
            .map(|text| text.to_string_lossy().into_owned());
        Some((url, arguments.collect()))
    }

    #[test]
    fn an_address_with_credentials_leaves_the_command_line_in_both_spellings() {
        let url = "amqp://ann:s3cret@rabbit";
        let others = ["run", "--model", "m.xml"].map(str::to_owned).to_vec();
        let expected = Some((url.to_owned(), others));
        let apart = ["run", "--amqp-url", url, "--model", "m.xml"];
        assert_eq!(hidden(&apart), expected);
        let joined = ["run", "--model", "m.xml", &format!("--amqp-url={url}")];
        assert_eq!(hidden(&joined), expected);
    }

    #[test]
    fn a_command_line_without_credentials_stays_as_it_is() {
        for arguments in [
            ["run", "--amqp-url", "amqp://rabbit"].as_slice(),
            &["run", "--amqp-url=amqp://rabbit"],
            &["run", "--labels", "ann@rabbit"],
            &["run", "--amqp-url"],
            &[],
        ] {
            assert_eq!(hidden(arguments), None, "{arguments:?}");
        }
    }

    #[test]
    fn a_command_line_with_two_addresses_is_left_to_be_refused() {
        let url = "--amqp-url=amqp://ann:s3cret@rabbit";
        for second in ["--amqp-url-file=f", "--amqp-url-file", url] {
            assert_eq!(hidden(&["run", url, second]), None, "{second}");
        }
    }
}

//! A private Prometheus: the real program, with a configuration that is given, on a port and in a folder
//! of its own.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http::http_get;
use crate::process::{Output, Process};
use crate::run_dir::RunDir;
use crate::{free_port, poll_until};

/// It takes half a second on two idle cores.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running Prometheus. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Prometheus {
    // Before the folder that it writes to.
    process: Process,
    addr: SocketAddr,
    dir: RunDir,
}

/// `prometheus` or `promtool`, along the `PATH`.
///
/// # Errors
/// When it is not installed.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed: run `cargo xtask setup`"))
}

impl Prometheus {
    /// Starts it with this configuration, whose relative paths count from its own folder: `prepare` puts
    /// what they name there, and returns the configuration. Waits until it answers.
    ///
    /// # Errors
    /// When it is not installed, or does not take the configuration, with what it wrote.
    pub fn start(prepare: impl FnOnce(&Path) -> Result<String>) -> Result<Self> {
        let dir = RunDir::create("prometheus")?;
        let config = dir.path().join("prometheus.yml");
        let text = prepare(dir.path())?;
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let addr: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()?).into();
        let mut command = Command::new(program("prometheus")?);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={addr}"));
        let process = Process::spawn("prometheus", command, Output::Files(dir.path().to_owned()))?;
        let mut started = Self { process, addr, dir };
        started.wait_until_ready()?;
        Ok(started)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What a query comes to now: the series of the instant vector, or the one value of a scalar.
    ///
    /// # Errors
    /// When the query is refused, with Prometheus' reason.
    pub fn query(&self, query: &str) -> Result<Vec<Value>> {
        let data = self.api(&format!("/api/v1/query?query={}", encoded(query)))?;
        match (&data["resultType"], &data["result"]) {
            (Value::String(kind), Value::Array(series)) if kind == "vector" => Ok(series.clone()),
            (Value::String(kind), scalar) if kind == "scalar" => Ok(vec![scalar.clone()]),
            _ => bail!("{query} is neither a vector nor a scalar: {data}"),
        }
    }

    /// The first value that a query comes to now, if any.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub fn value(&self, query: &str) -> Result<Option<f64>> {
        let series = self.query(query)?;
        let value = series.first().and_then(|first| first["value"][1].as_str());
        Ok(value.map(str::parse).transpose()?)
    }

    /// The `data` of an answer of its API, by the path and the arguments of a `GET`.
    ///
    /// # Errors
    /// When it is refused, with Prometheus' reason.
    pub fn api(&self, path: &str) -> Result<Value> {
        let got = http_get(self.addr, path)?;
        let mut answer: Value = serde_json::from_str(&got.body)
            .with_context(|| format!("{path} answers {}: {}", got.status, got.body))?;
        if answer["status"] != "success" {
            bail!("{path} is refused: {}", answer["error"]);
        }
        Ok(answer["data"].take())
    }

    /// What it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let addr = self.addr;
        let ready = poll_until(START_LIMIT, || match self.process.try_wait() {
            Ok(None) => http_get(addr, "/-/ready")
                .is_ok_and(|got| got.status == 200)
                .then_some(Ok(())),
            Ok(Some(status)) => Some(Err(format!("prometheus ended while starting, {status}"))),
            Err(error) => Some(Err(format!("{error:#}"))),
        });
        match ready {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => bail!("{why}{}", self.process.last_words()),
            None => bail!(
                "prometheus is not ready within {START_LIMIT:?}{}",
                self.process.last_words()
            ),
        }
    }
}

/// A text as a part of a URL.
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut url = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_the_url() {
        assert_eq!(encoded("a{b=\"é\"}"), "a%7Bb%3D%22%C3%A9%22%7D");
    }
}

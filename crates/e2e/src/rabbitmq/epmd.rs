//! Erlang's port mapper, which every node registers with. Ours runs in the foreground on a port
//! of its own: the one that Erlang would start by itself outlives the node.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::node::Node;
use crate::poll_until;
use crate::process::{Output, Process};

const START_LIMIT: Duration = Duration::from_secs(10);

pub(super) fn start(node: &Node) -> Result<Process> {
    let mut command = node
        .epmd()
        .context("epmd, which belongs to Erlang, is not on the PATH")?;
    command
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .args(["-port", &node.epmd_port.to_string()]);
    let output = Output::Files(node.dir.clone());
    let mut epmd = node
        .place
        .run(|| Process::spawn("epmd", command, output))??;
    let addr = (Ipv4Addr::LOCALHOST, node.epmd_port).into();
    let listening = poll_until(START_LIMIT, || {
        let connect = || TcpStream::connect_timeout(&addr, START_LIMIT).is_ok();
        node.place.run(connect).ok()?.then_some(())
    });
    if listening.is_none() || epmd.try_wait()?.is_some() {
        bail!("epmd does not answer on {addr}{}", epmd.last_words());
    }
    Ok(epmd)
}

/// On the `PATH`, or where Erlang keeps it when the distribution does not put it there.
pub(super) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join("epmd"));
    let beside_erlang = [
        "/usr/lib/erlang",
        "/usr/lib64/erlang",
        "/usr/local/lib/erlang",
    ]
    .into_iter()
    .flat_map(|root| Path::new(root).read_dir().into_iter().flatten().flatten())
    .map(|entry| entry.path().join("bin").join("epmd"));
    on_path
        .chain([
            PathBuf::from("/usr/bin/epmd"),
            PathBuf::from("/opt/erlang/lib/erlang/bin/epmd"),
        ])
        .chain(beside_erlang)
        .find(|file| file.is_file())
}

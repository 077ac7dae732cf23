//! Several nodes that are one broker.

use anyhow::{Context, Result};

use super::{RabbitMq, RabbitMqOptions, url_at};

/// Nodes on this machine, joined to a cluster. Dropping it kills them and removes their data.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<RabbitMq>,
}

impl Cluster {
    /// So many nodes without any data, joined.
    ///
    /// # Errors
    /// When one of them does not start or does not join, with what it said.
    pub fn start(options: impl Into<RabbitMqOptions>, count: usize) -> Result<Self> {
        let options = options.into();
        let first = RabbitMq::start(options.clone())?;
        let leader = first.node.name();
        let others = (1..count).map(|_| RabbitMq::launch(options.clone(), Some(&first)));
        let mut others = others.collect::<Result<Vec<_>>>()?;
        for node in &mut others {
            node.wait_until_it_answers()?;
            node.ctl(&["stop_app"])?;
            node.ctl(&["join_cluster", &leader])?;
            node.ctl(&["start_app"])?;
            node.wait_until_it_answers()?;
        }
        let nodes = std::iter::once(first).chain(others).collect();
        Ok(Self { nodes })
    }

    /// For AMQP clients: all its nodes, user guest, virtual host `/`.
    #[must_use]
    pub fn amqp_url(&self) -> String {
        let nodes = self.nodes.iter().map(|node| node.amqp_addr().to_string());
        url_at(nodes.collect::<Vec<_>>().join(","))
    }

    /// Its nodes.
    #[must_use]
    pub fn nodes(&self) -> &[RabbitMq] {
        &self.nodes
    }

    /// The same, to be killed and started again.
    pub fn nodes_mut(&mut self) -> &mut [RabbitMq] {
        &mut self.nodes
    }

    /// Which node leads this quorum queue, and how many are its members, as the node `asked` sees it.
    ///
    /// # Errors
    /// When that node does not answer, or there is no such queue.
    pub fn leader(&self, queue: &str, asked: usize) -> Result<(usize, usize)> {
        let asked = self.nodes.get(asked).context("there is no such node")?;
        let listed = asked.ctl(&[
            "list_queues",
            "--no-table-headers",
            "name",
            "leader",
            "members",
        ])?;
        let mut lines = listed.lines().map(|line| line.split('\t'));
        let found = lines.find_map(|mut columns| {
            if columns.next()? != queue {
                return None;
            }
            Some((columns.next()?, columns.next()?))
        });
        let (leader, members) = found.with_context(|| format!("no {queue} in {listed}"))?;
        let place = self
            .nodes
            .iter()
            .position(|node| node.node.name() == leader);
        let place = place.with_context(|| format!("{leader} is none of its nodes"))?;
        Ok((place, members.split(',').count()))
    }

    /// Lets all nodes end in order, and removes their data.
    ///
    /// # Errors
    /// When one cannot be signalled; it is killed then.
    pub fn stop(self) -> Result<()> {
        // The first one has the port mapper.
        self.nodes.into_iter().rev().try_for_each(RabbitMq::stop)
    }
}

//! The list that Prometheus reads.

use ncs_protocol::Announcement;
use serde::Serialize;
use std::collections::BTreeMap;

/// Some targets with the same labels.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Group<'a> {
    targets: [&'a str; 1],
    labels: BTreeMap<&'static str, &'a str>,
}

/// The workers whose metrics can be reached, as JSON.
pub(super) fn of<'a>(workers: impl Iterator<Item = &'a Announcement>) -> Vec<u8> {
    let group = |worker: &'a Announcement| {
        let target = worker.metrics.as_deref()?;
        Some(Group {
            targets: [target],
            labels: BTreeMap::from([
                ("host", &*worker.host),
                ("model", &*worker.model),
                // Shown on Prometheus' own pages, and not stored.
                ("__meta_ncs_worker", &*worker.worker),
                ("__meta_ncs_version", &*worker.version),
            ]),
        })
    };
    let groups: Vec<Group<'a>> = workers.filter_map(group).collect();
    // Texts: JSON has no reason to refuse.
    serde_json::to_vec(&groups).unwrap_or_else(|_| b"[]".to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::testing::announcement;
    use serde_json::{Value, json};

    #[test]
    fn workers_that_can_be_reached_are_listed_with_their_hosts_and_models() {
        let hidden = Announcement {
            metrics: None,
            ..announcement("b/1", "attic")
        };
        let workers = [announcement("a/1", "pi"), hidden];
        let page: Value = serde_json::from_slice(&of(workers.iter())).unwrap();
        let expected = json!([{
            "targets": ["pi:9464"],
            "labels": {
                "host": "pi",
                "model": "googlenet-v1",
                "__meta_ncs_worker": "a/1",
                "__meta_ncs_version": "0.1.0",
            },
        }]);
        assert_eq!(page, expected);
    }
}

//! An orderly end under load: what is in hand is answered, the rest stays in the queue.

use crate::bed::{
    LIMIT, amqp_url, assert_still_flooding, drain, googlenet, start, steady_flood, unique,
    wait_until_busy,
};
use crate::client::{Client, block_on, clean_up};

#[test]
fn a_worker_that_is_told_to_end_under_load_leaves_nothing_half_done() {
    let model = unique("drain");
    let options = googlenet(&model);
    let first = start(&options);
    let mut producer = steady_flood(&model, &amqp_url(), 400);
    wait_until_busy(&first);
    drain(first);
    assert_still_flooding(&mut producer);

    let second = start(&options);
    let finished = producer.finish(LIMIT).expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    let report = finished.report.expect("a report");
    // Neither lost nor answered twice: what the first worker had in hand, it finished.
    assert_eq!(
        (&report["lost"], &report["duplicates"]),
        (&0.into(), &0.into()),
        "{report}"
    );
    assert_eq!(
        report["workers"].as_object().map(serde_json::Map::len),
        Some(2),
        "{report}"
    );
    drain(second);
    block_on(async {
        let client = Client::connect(&model).await;
        assert_eq!(client.waiting().await, 0);
        client.close().await;
    });
    clean_up(&model);
}

//! What a worker does only so much of at a time, and what becomes of the jobs that wait for it.

use crate::bed::{drain, metric, wait_for_metric};
use crate::client::{block_on, has_arrived};
use crate::large::{LARGEST, progressive_jpeg};
use crate::stage::{IN_HAND, Stage, wait_for};
use ncs_e2e::proxy::Proxy;
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::sticks::{State, Sticks};
use ncs_e2e::worker::Worker;
use ncs_protocol::{JobResult, Outcome};
use std::time::{Duration, Instant};

/// Jobs whose results are confirmed one by one, or together.
const RESULTS: u32 = 20;

#[test]
fn images_are_decoded_so_many_at_once_and_waiting_for_that_is_not_decoding() {
    let stage = Stage::with_sticks(Release::Installed, 1);
    let worker = stage.worker(&["--decode-threads", "1"]);
    let image = progressive_jpeg(LARGEST);
    block_on(async {
        let mut client = stage.client().await;
        let start = Instant::now();
        // One for each infer request.
        for _ in 0..4 {
            client
                .send_image("large", "image/jpeg", image.clone())
                .await;
        }
        let (mut decoding, mut longest_wait) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..4 {
            let times = classified(client.result().await.1).times;
            decoding += Duration::from_micros(times.decode_us);
            longest_wait = longest_wait.max(Duration::from_micros(times.wait_us));
        }
        let took = start.elapsed();
        // Had two been decoded at once, or had one counted another's time, it would be more.
        assert!(decoding <= took, "{decoding:?} of {took:?}");
        // The last one has waited for three of the four.
        assert!(
            longest_wait * 2 >= decoding,
            "{longest_wait:?} of {decoding:?}"
        );
        client.close().await;
    });
    drain(worker);
    stage.end();
}

#[test]
fn jobs_that_wait_to_be_decoded_go_to_the_next_network_at_once() {
    const JOBS: u32 = 32;
    let sticks = Sticks::plugged_in(8).expect("sticks");
    let sticks = sticks
        .with("STICKS_BOOT_MS", "0")
        .with("STICKS_COMPILE_MS", "0");
    let stage = Stage::new(Release::Installed, sticks);
    let worker = stage.worker(&["--decode-threads", "1"]);
    // Some 80 ms for each of them, one after the other.
    let image = progressive_jpeg((4000, 2500));
    block_on(async {
        let mut client = stage.client().await;
        let mut confirms = Vec::new();
        for number in 0..JOBS {
            let properties = client.image(&number.to_string(), "image/jpeg");
            confirms.push(client.publish(properties, image.clone()).await);
        }
        for confirm in confirms {
            has_arrived(confirm).await;
        }
        let most_wait = |jobs| jobs > f64::from(JOBS / 2);
        wait_for(&worker, IN_HAND, most_wait);
        stage.sticks.set("1.9", State::Ok).expect("plugged in");
        wait_for_metric(&worker, "ncs_worker_infer_requests 36");
        // The old network had to end while it had still more than a second of decoding before it.
        let waiting = metric(&worker, IN_HAND);
        assert!(waiting.is_some_and(most_wait), "{waiting:?} are in hand");
        for _ in 0..JOBS {
            classified(client.result().await.1);
        }
        client.close().await;
    });
    let left_behind = worker.stderr().contains("do not come back");
    assert!(!left_behind, "{}", worker.last_words());
    drain(worker);
    stage.end();
}

#[test]
fn only_so_many_results_wait_for_their_confirm() {
    const ONE_WAY: Duration = Duration::from_millis(50);
    let sticks = Sticks::plugged_in(8).expect("sticks");
    let sticks = sticks.with("STICKS_LATENCY_MS", "1");
    let stage = Stage::new(Release::Installed, sticks);
    // The next result leaves when the confirm of the one before has come.
    let one_by_one = spread(&stage, ONE_WAY, "1");
    let together = spread(&stage, ONE_WAY, "256");
    assert!(one_by_one >= 2 * ONE_WAY * (RESULTS - 1), "{one_by_one:?}");
    assert!(together * 4 < one_by_one, "{together:?} and {one_by_one:?}");
    stage.end();
}

/// How long it takes from the first to the last result of [`RESULTS`] jobs, when the broker is so far
/// away and so many results may wait for its confirm.
fn spread(stage: &Stage, one_way: Duration, max_unconfirmed: &str) -> Duration {
    let network = Proxy::to(stage.node.amqp_addr()).expect("a proxy");
    let url = stage.node.amqp_url_through(&network);
    let arguments = [
        "--prefetch",
        "32",
        "--max-unconfirmed-results",
        max_unconfirmed,
    ];
    let worker = Worker::start(&stage.options_at(&url, &arguments)).expect("ready");
    network.delay(one_way);
    let spread = block_on(async {
        let mut client = stage.client().await;
        for number in 0..RESULTS {
            let tensor = "application/octet-stream";
            let body = vec![7; 224 * 224 * 3];
            client.send_image(&number.to_string(), tensor, body).await;
        }
        classified(client.result().await.1);
        let first = Instant::now();
        for _ in 1..RESULTS {
            classified(client.result().await.1);
        }
        let spread = first.elapsed();
        client.close().await;
        spread
    });
    drain(worker);
    spread
}

/// A result with classes.
fn classified(result: JobResult) -> JobResult {
    assert!(matches!(result.outcome, Outcome::Classes(_)), "{result:?}");
    result
}

//! A worker's limits: what goes beyond one is refused by its name, and memory stays within them.

use crate::bed::{amqp_url, digits, drain, runtime, start, unique, wait_for_metric};
use crate::client::{Client, block_on, clean_up};
use crate::figures::status;
use crate::large::{LARGEST, deep_png, progressive_jpeg};
use crate::refused::{digit, png_announcing};
use ncs_e2e::paths::GOOGLENET_U8;
use ncs_e2e::sticks::Sticks;
use ncs_image::ImageLimits;
use ncs_protocol::properties::{HEADER_DEAD_REASON, HEADER_TOP_K};
use ncs_protocol::topology::DEAD;
use ncs_protocol::{ErrorCode, Failure, HeaderValue, Outcome, Properties};

/// The next result's reason for having no classes.
async fn failure(client: &mut Client) -> Failure {
    let (_, result) = client.result().await;
    match result.outcome {
        Outcome::Error(failure) => failure,
        Outcome::Classes(classes) => panic!("{classes:?}"),
    }
}

#[test]
fn a_job_beyond_a_limit_is_refused_by_the_name_of_that_limit() {
    let model = unique("limits");
    let worker = start(&digits(&model).arguments([
        "--max-body=4KiB",
        "--max-image-pixels=10000",
        "--max-image-side=150",
        "--max-top-k=2",
    ]));
    block_on(async {
        let mut client = Client::connect(&model).await;
        let tensor = "application/octet-stream";
        let id = unique("large");
        client.send_image(&id, tensor, vec![0; 4097]).await;
        let expected = Failure {
            code: ErrorCode::TooLarge,
            message: "the body has 4097 bytes; at most 4096 are allowed (--max-body)".to_owned(),
        };
        assert_eq!(failure(&mut client).await, expected);
        let is_ours = |found: &Properties| found.message_id.as_deref() == Some(&id);
        let (properties, body) = client.find(DEAD, is_ours).await;
        let reason = properties.text(HEADER_DEAD_REASON);
        assert_eq!((reason, body), (Some(&*expected.message), vec![]));
        // At the limit it is a message like any other.
        client.send_image("small", tensor, vec![0; 4096]).await;
        let code = failure(&mut client).await.code;
        assert_eq!(code, ErrorCode::WrongTensorSize);

        for (width, height, limit) in [
            (101, 100, "at most 10000 pixels (--max-image-pixels)"),
            (151, 2, "at most 150 per side (--max-image-side)"),
        ] {
            let png = png_announcing(width, height);
            client.send_image("huge", "image/png", png).await;
            let expected = Failure {
                code: ErrorCode::ImageTooLarge,
                message: format!(
                    "the image is {width}x{height} pixels; the worker decodes {limit}"
                ),
            };
            assert_eq!(failure(&mut client).await, expected);
        }

        for asked in [1, 2, 10] {
            let properties = Properties {
                content_type: Some("image/png".into()),
                message_id: Some("greedy".into()),
                reply_to: Some(client.result_queue.clone()),
                headers: [(HEADER_TOP_K.into(), HeaderValue::Integer(asked))].into(),
                ..Properties::default()
            };
            client.send(properties, digit()).await;
            let (_, result) = client.result().await;
            let Outcome::Classes(classes) = result.outcome else {
                panic!("{result:?}")
            };
            assert_eq!(i64::try_from(classes.len()), Ok(asked.min(2)));
        }
        client.close().await;
    });
    wait_for_metric(&worker, "ncs_worker_jobs_total{outcome=\"classified\"} 3");
    drain(worker);
    clean_up(&model);
}

fn one_of_each(size: (u32, u32)) -> [(&'static str, Vec<u8>); 2] {
    [
        ("image/jpeg", progressive_jpeg(size)),
        ("image/png", deep_png(size)),
    ]
}

/// Has the images classified, each of them so many times, all at once if the worker likes.
fn classify(model: &str, images: &[(&str, Vec<u8>)], times: usize) {
    block_on(async {
        let mut client = Client::connect(model).await;
        let jobs = images.len() * times;
        for (content_type, body) in images.iter().cycle().take(jobs) {
            client.send_image("image", content_type, body.clone()).await;
        }
        for _ in 0..jobs {
            let (_, result) = client.result().await;
            assert!(matches!(result.outcome, Outcome::Classes(_)), "{result:?}");
        }
        client.close().await;
    });
}

#[test]
fn memory_stays_within_the_limits_whatever_images_are_sent_and_is_given_back() {
    const DECODE_THREADS: u64 = 2;
    /// Infer requests, each with a thread of its own, and as many jobs in hand.
    const REQUESTS: usize = 16;
    /// What each keeps from image to image: five buffers of up to 4 MiB.
    const KEPT: u64 = 20 << 20;
    let limits = ImageLimits::default();
    assert_eq!(
        u64::from(LARGEST.0) * u64::from(LARGEST.1),
        limits.max_pixels
    );

    let model = unique("memory");
    let sticks = Sticks::plugged_in(4).expect("sticks");
    let ir = runtime().model(GOOGLENET_U8).expect("the model");
    let threads = format!("--decode-threads={DECODE_THREADS}");
    let options = sticks.worker(ir, &amqp_url());
    let worker = start(&options.arguments(["--model-name", &model, &threads]));
    let figure = |name| status(worker.id(), name);
    let before = figure("VmRSS");

    let large = one_of_each(LARGEST);
    classify(&model, &large, REQUESTS / 2);
    let grown = figure("VmHWM").saturating_sub(before);
    let messages: usize = large
        .iter()
        .map(|(_, body)| body.len() * REQUESTS / 2)
        .sum();
    let kept = REQUESTS as u64 * KEPT;
    let most = DECODE_THREADS * limits.memory_bytes() + kept + messages as u64;
    println!("{grown} bytes of {most}");
    // More than one was decoded at a time: one alone takes at most 13 bytes per pixel.
    let alone = limits.max_pixels * ImageLimits::BYTES_PER_PIXEL;
    assert!(grown > alone, "{grown} bytes, of {alone} for one");
    assert!(grown <= most, "{grown} bytes, of {most} at most");

    // Of a size that allocators like to keep.
    let sizes = [(1700, 1200), (2300, 1700), (2800, 2000), (3600, 2100)];
    classify(&model, sizes.map(one_of_each).as_flattened(), REQUESTS);
    let left = figure("VmRSS").saturating_sub(before);
    println!("{left} bytes left of {kept}");
    assert!(left <= kept, "{left} bytes are left, of {kept} at most");
    drain(worker);
    clean_up(&model);
}

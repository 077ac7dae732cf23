//! What cannot be answered: an error result for a bad image, a dead letter for what is no job.

use crate::bed::{amqp_url, digits, drain, runtime, start, unique, wait_for_metric};
use crate::client::{Client, block_on, clean_up, publish_17_mib};
use ncs_protocol::properties::{HEADER_DEAD_CODE, HEADER_DEAD_REASON};
use ncs_protocol::topology::{DEAD, RESULTS_QUEUE};
use ncs_protocol::{ErrorCode, JobResult, Outcome, Properties};

pub(crate) fn digit() -> Vec<u8> {
    std::fs::read(runtime().digits_dir().join("0000.png")).expect("a digit")
}

/// A PNG that announces so many pixels: signature, IHDR with its CRC, and an empty IDAT.
pub(crate) fn png_announcing(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend_from_slice(&width.to_be_bytes());
    png.extend_from_slice(&height.to_be_bytes());
    png.extend_from_slice(b"\x08\x02\0\0\0");
    png.extend_from_slice(&crc32(&png[12..29]).to_be_bytes());
    png.extend_from_slice(b"\0\0\0\0IDAT");
    png.extend_from_slice(&crc32(b"IDAT").to_be_bytes());
    png
}

/// The CRC of PNG's chunks (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[test]
fn bad_images_get_an_error_result_and_the_worker_goes_on() {
    let model = unique("refused");
    let worker = start(&digits(&model));
    block_on(async {
        let mut client = Client::connect(&model).await;
        let truncated = digit()[..60].to_vec();
        let cases = [
            ("image/png", truncated, ErrorCode::UndecodableImage),
            ("image/jpeg", digit(), ErrorCode::UndecodableImage),
            (
                "image/png",
                png_announcing(65_535, 65_535),
                ErrorCode::ImageTooLarge,
            ),
            (
                "application/octet-stream",
                vec![0; 255],
                ErrorCode::WrongTensorSize,
            ),
        ];
        for (content_type, body, code) in cases {
            client.send_image("bad", content_type, body).await;
            let (properties, result) = client.result().await;
            let Outcome::Error(failure) = &result.outcome else {
                panic!("{result:?}")
            };
            assert_eq!(failure.code, code, "{failure:?}");
            assert_eq!(properties.correlation_id.as_deref(), Some("bad"));
        }
        client.send_image("good", "image/png", digit()).await;
        let (_, result) = client.result().await;
        assert!(matches!(result.outcome, Outcome::Classes(_)), "{result:?}");
        client.close().await;
    });
    wait_for_metric(&worker, "ncs_worker_jobs_total{outcome=\"failed\"} 4");
    drain(worker);
    clean_up(&model);
}

#[test]
fn what_is_no_job_goes_to_the_dead_letters_and_its_sender_is_told() {
    let model = unique("dead");
    let worker = start(&digits(&model));
    block_on(async {
        let mut client = Client::connect(&model).await;
        let id = unique("garbage");
        let properties = Properties {
            content_type: Some("application/x-bincode".into()),
            kind: Some("ncs.job.v9".into()),
            message_id: Some(id.clone()),
            reply_to: Some(client.result_queue.clone()),
            ..Properties::default()
        };
        client.send(properties, b"garbage".to_vec()).await;
        let (_, result) = client.result().await;
        let Outcome::Error(failure) = &result.outcome else {
            panic!("{result:?}")
        };
        assert_eq!(
            (failure.code, &result.job_id),
            (ErrorCode::UnsupportedVersion, &id)
        );
        let is_ours = |found: &Properties| found.message_id.as_deref() == Some(&id);
        let (properties, body) = client.find(DEAD, is_ours).await;
        assert_eq!(body, b"garbage");
        assert_eq!(
            properties.text(HEADER_DEAD_CODE),
            Some("unsupported_version")
        );
        let reason = properties.text(HEADER_DEAD_REASON).expect("a reason");
        assert!(reason.contains("ncs.job.v9"), "{reason}");
        client.close().await;
    });
    wait_for_metric(
        &worker,
        "ncs_worker_jobs_total{outcome=\"dead_lettered\"} 1",
    );
    drain(worker);
    clean_up(&model);
}

#[test]
fn a_job_without_an_address_is_answered_in_the_shared_queue() {
    let model = unique("shared");
    let worker = start(&digits(&model));
    block_on(async {
        let client = Client::connect(&model).await;
        let id = unique("job");
        let properties = Properties {
            content_type: Some("image/png".into()),
            message_id: Some(id.clone()),
            correlation_id: Some(format!("mine-{id}")),
            ..Properties::default()
        };
        client.send(properties, digit()).await;
        let is_ours =
            |found: &Properties| found.correlation_id.as_deref() == Some(&*format!("mine-{id}"));
        let (properties, body) = client.find(RESULTS_QUEUE, is_ours).await;
        let result = JobResult::from_message(&properties, &body).expect("a result");
        assert_eq!(result.job_id, id);
        client.close().await;
    });
    drain(worker);
    clean_up(&model);
}

#[test]
fn a_message_that_is_too_large_is_dead_lettered_without_its_body_and_the_worker_goes_on() {
    let model = unique("large");
    let worker = start(&digits(&model));
    block_on(async {
        let mut client = Client::connect(&model).await;
        let id = unique("large");
        // RabbitMQ 4 refuses it by itself; 3.10 hands it to the worker.
        if publish_17_mib(&amqp_url(), &model, &client.result_queue, &id) {
            let (_, result) = client.result().await;
            let Outcome::Error(failure) = &result.outcome else {
                panic!("{result:?}")
            };
            assert_eq!((failure.code, &result.job_id), (ErrorCode::TooLarge, &id));
            let is_ours = |found: &Properties| found.message_id.as_deref() == Some(&id);
            let (properties, body) = client.find(DEAD, is_ours).await;
            assert_eq!(properties.text(HEADER_DEAD_CODE), Some("too_large"));
            assert_eq!(body, b"");
        }
        client.send_image("good", "image/png", digit()).await;
        let (_, result) = client.result().await;
        assert!(matches!(result.outcome, Outcome::Classes(_)), "{result:?}");
        client.close().await;
    });
    drain(worker);
    clean_up(&model);
}

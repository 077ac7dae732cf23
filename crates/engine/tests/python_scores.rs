//! The engine's scores are those of OpenVINO's own Python API, from the same pixels.
//!
//! The references come from `make_score_references.py`.

#[path = "../../image/tests/common/mod.rs"]
mod common;

use std::time::Duration;

use ncs_engine::{DeviceChoice, EngineError, InferRequest, Network, Runtime};
use ncs_image::{ImageDecoder, ImageLimits, Preprocessing};
use serde::Deserialize;

#[derive(Deserialize)]
struct Index {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    image: String,
    scores: String,
}

const LIMIT: Duration = Duration::from_secs(60);
const MODEL: &str = "googlenet-v1-random-weights.xml";

/// The OpenVINO runtime of `LD_LIBRARY_PATH`.
fn openvino() -> Runtime {
    Runtime::load(None).unwrap_or_else(|error| panic!("{error}; {}", common::REMEDY))
}

fn network(runtime: &mut Runtime, device: &str, model: &str, requests: usize) -> Network {
    let choice: DeviceChoice = device.parse().expect("a device");
    let target = choice
        .resolve(&runtime.devices().expect("devices"))
        .expect("a target");
    let model = common::runtime(&format!("models/{model}"));
    runtime
        .load_network(&model, &target, requests, None)
        .expect("a network")
}

fn decoder(network: &Network) -> ImageDecoder {
    let limits = ImageLimits::default();
    ImageDecoder::new(*network.input(), Preprocessing::default(), limits).expect("a decoder")
}

fn scores(request: &mut InferRequest, decoder: &mut ImageDecoder, image: &[u8]) -> Vec<f32> {
    let mut tensor = request.input_mut().expect("an input tensor");
    decoder
        .decode_into(image, None, &mut tensor)
        .expect("an image");
    drop(tensor);
    request.infer(LIMIT).expect("an inference");
    request.scores().expect("scores")
}

#[test]
fn scores_equal_those_of_openvinos_python_api() {
    let index: Index = common::json("references/scores/index.json");
    assert_eq!(index.cases.len(), 4, "two models, two photos");
    let mut runtime = openvino();
    for device in ["CPU", "MULTI:CPU"] {
        for case in &index.cases {
            let expected: Vec<f32> = common::bytes(&format!("references/scores/{}", case.scores))
                .as_chunks()
                .0
                .iter()
                .map(|&single| f32::from_le_bytes(single))
                .collect();
            let mut network = network(&mut runtime, device, &case.model, 1);
            assert_eq!(network.classes(), expected.len());
            let mut decoder = decoder(&network);
            let mut requests = network.take_requests();
            let image = common::bytes(&format!("references/scores/{}", case.image));
            let got = scores(&mut requests[0], &mut decoder, &image);

            let furthest = got
                .iter()
                .zip(&expected)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            println!("{device} {} {}: {furthest:e}", case.model, case.image);
            assert!(
                furthest < 1e-4,
                "{device} {} {}: {furthest}",
                case.model,
                case.image
            );

            let best = requests[0].top_k(5).unwrap();
            let mut ranked: Vec<f32> = expected.clone();
            ranked.sort_by(|a, b| b.total_cmp(a));
            for (score, expected) in best.iter().zip(ranked) {
                assert!((score.score - expected).abs() < 1e-4);
            }
            // Random weights may give flat scores, where a wrong image would pass unnoticed.
            let mean_difference =
                |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>();
            let mut tensor = requests[0].input_mut().unwrap();
            tensor.fill(0);
            drop(tensor);
            requests[0].infer(LIMIT).unwrap();
            let of_nothing = requests[0].scores().unwrap();
            assert!(
                mean_difference(&got, &expected) * 20.0 < mean_difference(&of_nothing, &expected),
                "the scores hardly depend on the image"
            );
        }
    }
}

#[test]
fn requests_of_one_network_work_side_by_side_on_threads() {
    let mut runtime = openvino();
    let mut network = network(&mut runtime, "MULTI:CPU", MODEL, 4);
    let images = ["china", "flower"].map(|photo| common::bytes(&format!("photos/{photo}.jpg")));
    let mut decoders: Vec<ImageDecoder> = (0..4).map(|_| decoder(&network)).collect();
    let requests = network.take_requests();
    assert_eq!(requests.len(), 4);
    // Requests keep their network alive.
    drop(network);
    std::thread::scope(|scope| {
        let workers: Vec<_> = requests
            .into_iter()
            .zip(&mut decoders)
            .map(|(mut request, decoder)| {
                let images = &images;
                scope.spawn(move || {
                    let alone = images.each_ref().map(|i| scores(&mut request, decoder, i));
                    for _ in 0..5 {
                        for (image, alone) in images.iter().zip(&alone) {
                            assert_eq!(&scores(&mut request, decoder, image), alone);
                        }
                    }
                    alone
                })
            })
            .collect();
        let results: Vec<_> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
        assert_ne!(results[0][0], results[0][1]);
    });
}

#[test]
fn an_inference_that_does_not_end_in_time_is_a_timeout_and_its_request_recovers() {
    let mut runtime = openvino();
    for device in ["CPU", "MULTI:CPU"] {
        let mut network = network(&mut runtime, device, MODEL, 1);
        let mut requests = network.take_requests();
        let request = &mut requests[0];
        let result = request.infer(Duration::from_millis(1));
        assert!(
            matches!(result, Err(EngineError::Timeout { .. })),
            "{device}: {result:?}"
        );
        assert!(
            request.top_k(1).is_err(),
            "the scores of before must not be shown"
        );
        let patience = std::time::Instant::now();
        while request.input_mut().is_err() {
            assert!(
                patience.elapsed() < LIMIT,
                "{device}: the request never came back"
            );
            std::thread::yield_now();
        }
        request.infer(LIMIT).unwrap();
        assert_eq!(request.top_k(3).unwrap().len(), 3);
    }
}

#[test]
fn what_openvino_cannot_do_is_told_in_its_own_words() {
    let mut runtime = openvino();
    assert!(runtime.version().starts_with("20"), "{}", runtime.version());
    assert!(runtime.library().ends_with("libopenvino_c.so"));
    let cpu = runtime
        .devices()
        .unwrap()
        .into_iter()
        .find(|device| device.name == "CPU");
    assert!(
        cpu.expect("a CPU")
            .full_name
            .is_some_and(|name| !name.is_empty())
    );

    let choice = DeviceChoice::Named("HETERO:NOPE".to_owned());
    let target = choice.resolve(&[]).unwrap();
    let model = common::runtime(&format!("models/{MODEL}"));
    let error = runtime
        .load_network(&model, &target, 1, None)
        .err()
        .expect("no such device")
        .to_string();
    println!("{error}");
    assert!(
        error.contains("for HETERO:NOPE: ") && error.contains("NOPE"),
        "{error}"
    );
    assert!(!error.ends_with("general error"), "{error}");

    let missing = runtime.load_network("/nonexistent/a.xml".as_ref(), &target, 1, None);
    let error = missing.err().expect("no such file").to_string();
    assert!(
        error.contains("cannot use the model /nonexistent/a.xml: there is no"),
        "{error}"
    );
}

//! What each `--prepare` costs a producer and spares a worker, as the tables of `docs/tuning.md`.
//!
//! Example: cargo run --release -p ncs-producer --example preparation -- photos
//!
//! Times are the thread's CPU time, the median over the rounds of each image, then the mean over the
//! images; so they hold while other programs run, within their fight for caches.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use anyhow::{Context, ensure};
use ncs_image::{
    Element, ImageDecoder, ImageLimits, InputSpec, Layout, Preprocessing, copy_tensor,
};
use ncs_producer::source::{Image, MAX_SENT_BYTES, Preparation, Prepare, Synthetic, Walk, read};
use ncs_protocol::Content;
use rustix::time::{ClockId, clock_gettime};
use std::path::PathBuf;

const ROUNDS: usize = 15;

fn main() -> anyhow::Result<()> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(Into::into).collect();
    for path in &paths {
        let images = Walk::new(vec![path.clone()])
            .map(|file| read(&file, MAX_SENT_BYTES).with_context(|| file.display().to_string()));
        let images: Vec<_> = images.collect::<Result<_, _>>()?;
        ensure!(!images.is_empty(), "no images in {}", path.display());
        table(&path.display().to_string(), &images)?;
    }
    let size = "4000x3000".parse().map_err(anyhow::Error::msg)?;
    let photos = Synthetic::new(size, 0).take(2);
    table(
        "synthetic, 4000x3000",
        &photos.collect::<Result<Vec<_>, _>>()?,
    )
}

fn table(name: &str, images: &[Image]) -> anyhow::Result<()> {
    let f32_nchw = input(Layout::Nchw, Element::F32);
    let u8_nhwc = input(Layout::Nhwc, Element::U8);
    let size = "224x224".parse().map_err(anyhow::Error::msg)?;
    let tensor = |input| Preparation::Tensor(input, Preprocessing::default());
    println!("\n{name}: {} images\n", images.len());
    println!(
        "| --prepare | producer, CPU ms | on the wire, kB | worker, CPU ms to decode: f32 NCHW | u8 NHWC |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for (name, preparation, inputs) in [
        (
            "original",
            Preparation::Original,
            [Some(f32_nchw), Some(u8_nhwc)],
        ),
        (
            "224",
            Preparation::Shrink(size),
            [Some(f32_nchw), Some(u8_nhwc)],
        ),
        ("tensor, f32 NCHW", tensor(f32_nchw), [Some(f32_nchw), None]),
        ("tensor, u8 NHWC", tensor(u8_nhwc), [None, Some(u8_nhwc)]),
    ] {
        let mut prepare = Prepare::new(&preparation)?;
        let mut sent = Vec::new();
        let preparing = mean(images, |image| {
            let mut prepared = None;
            let time = median(|| {
                let image = image.clone();
                let start = cpu_ms();
                prepared = Some(prepare.apply(image));
                cpu_ms() - start
            });
            sent.extend(prepared.transpose()?);
            Ok(time)
        })?;
        let kilobytes = mean(&sent, |image| Ok(image.bytes().len() as f64 / 1e3))?;
        print!("| {name} | {preparing:.2} | {kilobytes:.0} |");
        for input in inputs {
            match input {
                Some(input) => print!(" {:.2} |", mean(&sent, worker(input)?)?),
                None => print!(" |"),
            }
        }
        println!();
    }
    Ok(())
}

/// What a worker does with an image, in CPU ms.
fn worker(input: InputSpec) -> anyhow::Result<impl FnMut(&Image) -> anyhow::Result<f64>> {
    let mut decoder = ImageDecoder::new(input, Preprocessing::default(), ImageLimits::default())?;
    let mut tensor = vec![0; input.byte_len()];
    Ok(move |image: &Image| {
        let mut filled = Ok(());
        let time = median(|| {
            let start = cpu_ms();
            filled = match image.content() {
                Content::Image(_, encoded) => decoder.decode_into(encoded, None, &mut tensor),
                Content::Tensor(bytes) => copy_tensor(bytes, &input, &mut tensor),
            };
            cpu_ms() - start
        });
        filled?;
        Ok(time)
    })
}

fn input(layout: Layout, element: Element) -> InputSpec {
    InputSpec {
        layout,
        channels: 3,
        height: 224,
        width: 224,
        element,
    }
}

/// This thread's CPU time.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut times = [(); ROUNDS].map(|()| measure());
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn mean(
    images: &[Image],
    figure: impl FnMut(&Image) -> anyhow::Result<f64>,
) -> anyhow::Result<f64> {
    let figures: Vec<_> = images.iter().map(figure).collect::<Result<_, _>>()?;
    Ok(figures.iter().sum::<f64>() / figures.len() as f64)
}

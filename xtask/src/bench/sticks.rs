//! Emulated sticks: what the worker makes of one and of many, first without a broker, then as a
//! fleet on this machine.
//!
//! The emulator keeps a stick's pace and nobody's CPU busy, so what is missing to so many times one
//! stick's pace is what the worker, the broker and the producer lose.

mod fleet;
mod inference;
mod table;

use anyhow::Result;
use ncs_e2e::paths::{GOOGLENET_U8, Runtime};

use self::fleet::Setting;
use self::inference::Mode;
use super::BenchOptions;
use super::figures::Figures;
use crate::broker::Broker;
use crate::emulated;

pub(super) use fleet::Fleet;
pub(super) use inference::Inference;

const ROUNDS: u32 = 3;

/// Hosts with so many sticks are also measured with a larger prefetch: the more requests, the sooner
/// one of them may wait for its next job.
const MANY: u16 = 16;

pub(super) fn run(
    options: &BenchOptions,
    runtime: &Runtime,
    broker: &Broker,
    figures: &mut Figures,
) -> Result<()> {
    println!("{}\n", emulated::notice());
    let counts = options.stick_counts();
    let rounds = options.rounds.unwrap_or(ROUNDS);

    let model = runtime.model(GOOGLENET_U8)?;
    for number in 1..=rounds {
        for (sticks, mode) in inference_cases(&counts) {
            let measured = inference::measure(&model, sticks, mode, options.seconds)?;
            println!(
                "round {number} of {rounds}: inference alone, {sticks:>2} emulated, {mode}: {:.1} \
                 images/s",
                measured.images_per_second
            );
            figures.emulated_sticks.inference.push(measured);
            figures.save()?;
        }
    }
    println!(
        "\n{}",
        table::of_inference(&figures.emulated_sticks.inference)
    );

    for number in 1..=rounds {
        for setting in fleet_settings(&counts) {
            let measured = fleet::measure(runtime, setting, broker, options.seconds)?;
            println!(
                "round {number} of {rounds}: fleet, {:>2} emulated, prefetch {:>3}: {:.1} images/s",
                setting.sticks, setting.prefetch, measured.images_per_second
            );
            figures.emulated_sticks.fleet.push(measured);
            figures.save()?;
        }
    }
    println!("\n{}", table::of_fleet(&figures.emulated_sticks.fleet));
    println!("{}", emulated::notice());
    Ok(())
}

/// One stick and two in both modes, which is what there are figures of hardware for; then the rest.
fn inference_cases(counts: &[u16]) -> Vec<(u16, Mode)> {
    let both = [1, 2].map(|sticks| [(sticks, Mode::Sync), (sticks, Mode::Async)]);
    let more = counts.iter().filter(|sticks| **sticks > 2);
    both.into_iter()
        .flatten()
        .chain(more.map(|sticks| (*sticks, Mode::Async)))
        .collect()
}

/// The worker's default prefetch, which is 4 for each stick; then twice as much, where there are
/// many.
fn fleet_settings(counts: &[u16]) -> Vec<Setting> {
    let settings = counts.iter().flat_map(|&sticks| {
        let twice = (sticks >= MANY).then_some(8 * sticks);
        let prefetches = std::iter::once(4 * sticks).chain(twice);
        prefetches.map(move |prefetch| Setting { sticks, prefetch })
    });
    settings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stick_and_two_are_always_measured_alone_and_in_both_modes() {
        let few = [
            (1, Mode::Sync),
            (1, Mode::Async),
            (2, Mode::Sync),
            (2, Mode::Async),
        ];
        assert_eq!(inference_cases(&[1]), few);
        let more = [&few[..], &[(8, Mode::Async)]].concat();
        assert_eq!(inference_cases(&[2, 8]), more);
    }

    #[test]
    fn many_sticks_are_measured_with_two_prefetches() {
        let pairs = fleet_settings(&[8, 16])
            .iter()
            .map(|setting| (setting.sticks, setting.prefetch))
            .collect::<Vec<_>>();
        assert_eq!(pairs, [(8, 32), (16, 64), (16, 128)]);
    }
}

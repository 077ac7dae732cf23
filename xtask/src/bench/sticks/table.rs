//! The medians, as people read them.

use std::fmt::Write;

use super::fleet::{Fleet, Setting};
use super::inference::{Inference, Mode};
use crate::bench::median::median;
use crate::emulated;

/// `ncs-worker bench`: a row for each number of sticks and mode, in the order of their first rounds.
pub(super) fn of_inference(measured: &[Inference]) -> String {
    let mut table = format!(
        "{:<34} | {:>8} {:>9} {:>6} | {:>11} {:>6}\n",
        "EMULATED sticks, inference alone",
        "images/s",
        "reference",
        "ratio",
        "N x 1 stick",
        "ratio"
    );
    let rate = |sticks, mode| {
        let of_case = measured
            .iter()
            .filter(move |it| (it.sticks, it.mode) == (sticks, mode));
        median(of_case.map(|it| it.images_per_second))
    };
    for (sticks, mode) in distinct(measured.iter().map(|it| (it.sticks, it.mode))) {
        let images_per_second = rate(sticks, mode);
        let reference = mode.reference(sticks);
        // Writing to a String cannot fail.
        let _ = write!(
            table,
            "{:<34} | {images_per_second:>8.1} {reference:>9.1} {:>6.3} |",
            format!("x{sticks} {mode}"),
            images_per_second / reference,
        );
        if mode == Mode::Async {
            let linear = f64::from(sticks) * rate(1, Mode::Async);
            let ratio = images_per_second / linear;
            let _ = write!(table, " {linear:>11.1} {ratio:>6.3}");
        }
        table.push('\n');
    }
    table.push_str(
        "reference: one stick as measured on hardware, async times the number of sticks, which is what\n\
         the emulator makes possible. Two sticks on hardware did 40.3 and 177.6.\n",
    );
    table
}

/// The fleet: a row for each setting, in the order of their first rounds.
pub(super) fn of_fleet(measured: &[Fleet]) -> String {
    let mut table = format!(
        "{:<15} {:>8} | {:>8} {:>9} {:>6} | {:>6} {:>6} {:>8} | {:>5} | {:>8}\n\
         {:<53} | {:^22} | {:>5} | {:>8}\n",
        "EMULATED sticks",
        "prefetch",
        "images/s",
        format!("N x {}", emulated::PIPELINED),
        "ratio",
        "worker",
        "broker",
        "producer",
        "cores",
        "worker's",
        "",
        "CPU ms per image",
        "busy",
        "peak MiB",
    );
    for setting in distinct(measured.iter().map(|it| it.setting)) {
        table.push_str(&fleet_row(measured, setting));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let _ = writeln!(
        table,
        "Worker, broker and producer share this machine's {cores} cores; the worker's CPU time includes\n\
         the emulator's. Images/s are of the middle of each flood, by the worker's own counter."
    );
    table
}

fn fleet_row(measured: &[Fleet], setting: Setting) -> String {
    let of_setting = || measured.iter().filter(|it| it.setting == setting);
    let middle = |figure: fn(&Fleet) -> f64| median(of_setting().map(figure));
    let images_per_second = middle(|it| it.images_per_second);
    let reference = Mode::Async.reference(setting.sticks);
    let broker = median(of_setting().filter_map(|it| it.broker_cpu_ms_per_image));
    format!(
        "{:<15} {:>8} | {images_per_second:>8.1} {reference:>9.1} {:>6.3} | {:>6.2} {:>6} {:>8.2} \
         | {:>5.2} | {:>8.0}\n",
        format!("x{}", setting.sticks),
        setting.prefetch,
        images_per_second / reference,
        middle(|it| it.worker_cpu_ms_per_image),
        known(broker),
        middle(|it| it.producer_cpu_ms_per_image),
        middle(busy_cores),
        middle(|it| it.worker_peak_mib),
    )
}

/// How many cores the three programs kept busy, as far as they are ours: where that comes near to
/// what the machine has, it is the machine that is measured.
fn busy_cores(fleet: &Fleet) -> f64 {
    let ms_per_image = fleet.worker_cpu_ms_per_image
        + fleet.broker_cpu_ms_per_image.unwrap_or_default()
        + fleet.producer_cpu_ms_per_image;
    ms_per_image * fleet.images_per_second / 1_000.0
}

fn known(figure: f64) -> String {
    if figure.is_nan() {
        "-".to_owned()
    } else {
        format!("{figure:.2}")
    }
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for it in all {
        if !distinct.contains(&it) {
            distinct.push(it);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(images_per_second: f64, broker_cpu_ms_per_image: Option<f64>) -> Fleet {
        Fleet {
            setting: Setting {
                sticks: 2,
                prefetch: 8,
            },
            seconds: 8.0,
            images_per_second,
            worker_cpu_ms_per_image: 0.5,
            broker_cpu_ms_per_image,
            producer_cpu_ms_per_image: 0.25,
            worker_peak_mib: 27.4,
        }
    }

    #[test]
    fn a_setting_has_one_row_with_the_medians_of_its_rounds() {
        let rounds = [
            fleet(180.0, Some(1.0)),
            fleet(92.68, Some(0.25)),
            fleet(200.0, Some(1.5)),
        ];
        let row = fleet_row(&rounds, rounds[0].setting);
        let figures: Vec<&str> = row.split_whitespace().filter(|it| *it != "|").collect();
        let expected = [
            "x2", "8", "180.0", "185.4", "0.971", "0.50", "1.00", "0.25", "0.32", "27",
        ];
        assert_eq!(figures, expected);
        assert_eq!(distinct(rounds.iter().map(|it| it.setting)).len(), 1);
    }

    #[test]
    fn what_a_foreign_broker_takes_is_not_known() {
        let rounds = [fleet(180.0, None)];
        assert!(fleet_row(&rounds, rounds[0].setting).contains(" - "));
    }

    #[test]
    fn inference_is_compared_with_hardware_and_with_one_stick() {
        let measured = |sticks, mode, images_per_second| Inference {
            sticks,
            mode,
            images_per_second,
        };
        let table = of_inference(&[
            measured(1, Mode::Sync, 41.02),
            measured(1, Mode::Async, 90.0),
            measured(2, Mode::Async, 171.0),
        ]);
        let ratios = |name: &str| -> Vec<&str> {
            let row = table.lines().find(|line| line.starts_with(name));
            row.unwrap_or_default().split_whitespace().collect()
        };
        assert_eq!(ratios("x1 sync")[3..], ["41.0", "41.0", "1.000", "|"]);
        let x2 = ["171.0", "185.4", "0.923", "|", "180.0", "0.950"];
        assert_eq!(ratios("x2 async")[3..], x2);
    }
}

//! Every stick is gone, or was never there: no jobs are taken, none is lost, looking goes on.

use crate::bed::LIMIT;
use crate::client::{Client, block_on};
use crate::host::Host;
use ncs_e2e::poll_until;
use std::time::Duration;

fn wait_until_ready_is(host: &Host, status: u16) {
    let seen = poll_until(LIMIT, || {
        (host.worker.get("/readyz").ok()?.status == status).then_some(())
    });
    assert!(seen.is_some(), "{status}{}", host.worker.last_words());
}

/// Jobs are settled, and sticks counted, a moment before the figures say so.
fn wait_until_it_is(host: &Host, series: &str, figure: f64) {
    host.wait_for(series, |now| (now - figure).abs() < 0.5);
}

#[test]
fn while_every_stick_is_gone_the_jobs_wait_at_the_broker() {
    let host = Host::with(2, &[]);
    let flood = host.flood();
    host.settles_at(2.0);
    host.sticks.unplug_all().expect("unplugged");
    wait_until_ready_is(&host, 503);
    // Those in hand have gone back: as many wait as are unanswered.
    let waiting = poll_until(LIMIT, || {
        block_on(async {
            let client = Client::connect(&host.model).await;
            let waiting = client.waiting().await;
            client.close().await;
            (waiting == 128).then_some(())
        })
    });
    assert!(waiting.is_some(), "{}", host.worker.last_words());
    wait_until_it_is(&host, "ncs_worker_jobs_in_hand", 0.0);
    wait_until_it_is(&host, "ncs_worker_prefetch", 0.0);
    wait_until_it_is(&host, "ncs_worker_sticks{state=\"lost\"}", 2.0);

    host.sticks.plug_in_all().expect("plugged in");
    wait_until_ready_is(&host, 200);
    host.settles_at(2.0);
    assert!(host.metric("ncs_worker_without_service_seconds_total") > Some(0.5));
    assert!(host.metric("ncs_worker_jobs_total{outcome=\"handed_back\"}") >= Some(1.0));
    flood.ends_with_every_job_answered_once(&host);
    host.end();
}

#[test]
fn a_worker_that_starts_without_sticks_takes_the_first_that_come() {
    let host = Host::waiting_for(2);
    wait_until_ready_is(&host, 503);
    host.sticks.plug_in("1.1").expect("plugged in");
    host.wait_for_sticks(1);
    wait_until_ready_is(&host, 200);
    assert!(
        host.worker.stdout().contains("Device name : MYRIAD\n"),
        "{}",
        host.worker.stdout()
    );
    wait_until_it_is(&host, "ncs_worker_prefetch", 4.0);
    host.sticks.plug_in("1.2").expect("plugged in");
    host.wait_for_sticks(2);
    wait_until_it_is(&host, "ncs_worker_prefetch", 8.0);
    host.end();
}

#[test]
fn a_worker_without_sticks_ends_at_once_when_told_to() {
    let mut host = Host::waiting_for(1);
    wait_until_ready_is(&host, 503);
    let status = host.worker.drain(Duration::from_secs(10)).expect("ended");
    assert!(status.success(), "{status}{}", host.worker.last_words());
}

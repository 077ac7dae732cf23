//! A broker that refuses messages for no reason.

use crate::bed::{CLASSIFIED, LIMIT, metric, runtime};
use crate::stage::{Stage, wait_for, wait_until_it_says};
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::worker::Worker;

/// With [`LOUD`].
const GOING_ON: &str = "a channel refused what another takes";
const LOUD: (&str, &str) = ("NCS_LOG", "info,ncs_broker=debug");

/// Puts the node's channels into a state like that in which a dead leader leaves those that were opened before
/// there was another: each takes its queues for full until a word comes that never does. It is the
/// `queue_status` of `rabbit_fifo_client`'s record, wherever in a channel's state that is. Says how many there
/// were.
const REFUSE: &str = r"
    Refuse = fun
        Refuse(T) when is_tuple(T), tuple_size(T) > 8, element(1, T) =:= state, element(4, T) =:= go ->
            put(refusing, get(refusing) + 1),
            setelement(4, T, reject_publish);
        Refuse(T) when is_tuple(T) -> list_to_tuple([Refuse(E) || E <- tuple_to_list(T)]);
        Refuse(M) when is_map(M) -> maps:map(fun(_, V) -> Refuse(V) end, M);
        Refuse([H | T]) -> [Refuse(H) | Refuse(T)];
        Refuse(Other) -> Other
    end,
    Self = self(),
    lists:sum([begin
        sys:replace_state(Channel, fun(State) ->
            put(refusing, 0),
            Refusing = Refuse(State),
            Self ! {refusing, get(refusing)},
            Refusing
        end),
        receive {refusing, N} -> N after 5000 -> 0 end
    end || Channel <- rabbit_channel:list()]).";

#[test]
fn channels_that_refuse_messages_for_ever_although_there_is_room_are_left_for_others() {
    let stage = Stage::with_sticks(Release::V3, 4);
    let (name, value) = LOUD;
    let options = stage.options(&[]).env(name, value);
    let mut worker = Worker::start(&options).expect("ready");
    // As of a cluster: the queue of results is a quorum queue, too.
    let (node, addr) = (stage.node.amqp_url(), stage.node.amqp_addr());
    let nodes = node.replace(&addr.to_string(), &format!("{addr},{addr}"));
    let photos = runtime().small_photos_dir().into_os_string();
    let flood = FloodOptions::new(&stage.model, &nodes)
        .arguments(["--images".into(), photos])
        .arguments(["--duration", "170s", "--timeout", "60s"])
        .env(name, value);
    let mut producer = Producer::flood(&flood).expect("started");
    wait_for(&worker, CLASSIFIED, |jobs| jobs >= 400.0);
    let refusing = stage.node.ctl(&["eval", REFUSE]).expect("evaluated");
    // The flood's to the queue of jobs, and the worker's to that of results.
    assert_eq!(refusing.trim(), "2");
    wait_until_it_says(&worker, GOING_ON);
    wait_until_it_says(&producer, GOING_ON);
    let before = metric(&worker, CLASSIFIED).expect("a figure");
    wait_for(&worker, CLASSIFIED, |jobs| jobs >= before + 400.0);
    producer.interrupt().expect("interrupted");
    let finished = producer.finish(LIMIT).expect("finished");
    let report = finished.report.as_ref().expect("a report");
    assert_eq!(report["answered"], report["sent"], "{finished:?}");
    for figure in ["lost", "failed", "duplicates"] {
        assert_eq!(report[figure], 0, "{figure} in {finished:?}");
    }
    assert!(worker.drain(LIMIT).expect("it ends").success());
    let said = worker.stderr();
    assert!(!said.contains("is dropped"), "{said}");
    stage.end();
}

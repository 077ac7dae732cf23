//! A broker that refuses jobs for no reason.

use crate::alone;
use crate::bed::{CLASSIFIED, LIMIT, drain};
use crate::stage::{Stage, wait_for};
use ncs_e2e::producer::Producer;
use ncs_e2e::rabbitmq::Release;

const JOBS: &str = "3000";

/// Puts the node's channels into the state in which a queue's leader that died leaves those that are opened
/// before there is another: each takes its queue for full until a word comes that never does. It is the
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
fn a_channel_that_refuses_jobs_although_none_waits_is_left_for_another() {
    let _alone = alone();
    let stage = Stage::with_sticks(Release::V3, 4);
    let worker = stage.worker(&[]);
    let flood = stage.flood(&["--jobs", JOBS, "--timeout", "60s"]);
    let producer = Producer::flood(&flood).expect("started");
    wait_for(&worker, CLASSIFIED, |jobs| jobs >= 400.0);
    let refusing = stage.node.ctl(&["eval", REFUSE]).expect("evaluated");
    assert_eq!(
        refusing.trim(),
        "1",
        "only the flood publishes to the queue of jobs"
    );
    let finished = producer.finish(LIMIT).expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    for words in ["refuses jobs although none waits", "connected again"] {
        assert!(finished.stderr.contains(words), "{words} in {finished:?}");
    }
    let report = finished.report.as_ref().expect("a report");
    for (figure, expected) in [("answered", 3000), ("lost", 0), ("failed", 0)] {
        assert_eq!(report[figure], expected, "{figure} in {finished:?}");
    }
    drain(worker);
    stage.end();
}

//! Which workers there are, from what they announce.
//!
//! `roster` keeps who was heard, and when; `listener` hears them over a connection.

mod listener;
mod roster;

pub(crate) use listener::Listener;
pub(crate) use roster::Roster;

#[cfg(test)]
pub(crate) mod testing {
    //! Workers for tests.

    use ncs_protocol::Announcement;
    use ncs_protocol::announcement::State;

    /// What a worker with two sticks says.
    pub(crate) fn announcement(worker: &str, host: &str) -> Announcement {
        Announcement {
            worker: worker.to_owned(),
            host: host.to_owned(),
            model: "googlenet-v1".to_owned(),
            version: "0.1.0".to_owned(),
            metrics: Some(format!("{host}:9464")),
            state: State::Serving,
            devices: 2,
            quarantined: 0,
            lost: 0,
            prefetch: 8,
        }
    }
}

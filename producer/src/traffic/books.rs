//! Which jobs are unanswered.

use super::{Answered, Outgoing};
use ncs_broker::Message;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

/// A job is *unanswered* from [`Books::sent`] to its first result. It is kept by its id, so that a
/// job that the fleet did twice is counted once.
#[derive(Default)]
pub(super) struct Books {
    unanswered: HashMap<String, Unanswered>,
}

struct Unanswered {
    image: u64,
    due: Instant,
    /// Until the broker has it.
    message: Option<Rc<Message>>,
}

/// A job that the broker may not have.
#[derive(Debug, Clone)]
pub(super) struct Unconfirmed {
    pub(super) id: String,
    pub(super) image: u64,
    pub(super) message: Rc<Message>,
}

impl Books {
    /// A job is about to be published; with what it takes to do so, unless the broker has it.
    pub(super) fn sent(&mut self, job: Outgoing) -> Option<Unconfirmed> {
        let Outgoing {
            id,
            image,
            due,
            message,
        } = job;
        let message = message.map(Rc::new);
        let entry = Unanswered {
            image,
            due,
            message: message.clone(),
        };
        self.unanswered.insert(id.clone(), entry);
        message.map(|message| Unconfirmed { id, image, message })
    }

    /// The broker has the job. Says whether it is still unanswered: a fast worker's result may come
    /// before the broker's confirm.
    pub(super) fn confirmed(&mut self, id: &str) -> bool {
        let job = self.unanswered.get_mut(id);
        job.map(|job| job.message = None).is_some()
    }

    /// A result has come; `None` when the job is not one of this run's, or was answered before.
    pub(super) fn answered(&mut self, id: &str, now: Instant) -> Option<Answered> {
        let job = self.unanswered.remove(id)?;
        Some(Answered {
            image: job.image,
            due: job.due,
            latency: now.saturating_duration_since(job.due),
        })
    }

    /// How many jobs are unanswered.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// The jobs that must be published again after the connection was lost, under their old ids.
    pub(super) fn unconfirmed(&self) -> Vec<Unconfirmed> {
        let unconfirmed = self.unanswered.iter().filter_map(|(id, job)| {
            Some(Unconfirmed {
                id: id.clone(),
                image: job.image,
                message: job.message.clone()?,
            })
        });
        let mut unconfirmed: Vec<_> = unconfirmed.collect();
        unconfirmed.sort_by_key(|job| job.image);
        unconfirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn job(id: &str, image: u64, due: Instant) -> Outgoing {
        let message = Message {
            exchange: String::new(),
            routing_key: "q".into(),
            mandatory: true,
            properties: ncs_protocol::Properties::default(),
            body: Vec::new(),
        };
        Outgoing {
            id: id.into(),
            image,
            due,
            message: Some(message),
        }
    }

    #[test]
    fn the_first_answer_counts_from_when_the_job_was_due_and_further_ones_do_not() {
        let (mut books, due) = (Books::default(), Instant::now());
        books.sent(job("a", 3, due));
        let latency = Duration::from_millis(250);
        let first = Answered {
            image: 3,
            due,
            latency,
        };
        assert_eq!(books.answered("a", due + latency), Some(first));
        assert_eq!(books.answered("a", due + latency), None);
        assert_eq!(books.answered("another's", due), None);
        assert_eq!(books.unanswered(), 0);
    }

    #[test]
    fn only_what_is_neither_confirmed_nor_answered_is_published_again() {
        let (mut books, now) = (Books::default(), Instant::now());
        for (image, id) in (0..).zip(["a", "b", "c"]) {
            assert!(books.sent(job(id, image, now)).is_some());
        }
        let in_the_broker = Outgoing {
            message: None,
            ..job("d", 3, now)
        };
        assert!(books.sent(in_the_broker).is_none());
        assert!(books.confirmed("a"));
        books.answered("b", now);
        assert!(!books.confirmed("b"));
        let again: Vec<_> = books.unconfirmed().into_iter().map(|job| job.id).collect();
        assert_eq!(again, ["c"]);
        assert_eq!(books.unanswered(), 3);
    }
}

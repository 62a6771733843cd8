//! How far the active chain may be ahead of wallets (Core: `LimitValidationInterfaceQueue`): a node that prunes would delete blocks
//! that they have not seen.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

const MAX_STEPS: usize = 10;

/// Steps that wallets were told of, the oldest first. The sender of each is dropped when they have taken it.
#[derive(Debug, Default)]
pub(super) struct Steps {
    told: VecDeque<Receiver<()>>,
    /// A wait was in vain: no other until wallets have taken what it was for.
    stuck: bool,
}

impl Steps {
    /// Adds a step; waits until wallets are not too far behind, or have shown for `patience` that they take nothing.
    pub(super) fn add(&mut self, taken: Receiver<()>, patience: Duration) {
        self.told.push_back(taken);
        while self.told.len() > MAX_STEPS {
            let Some(oldest) = self.told.front() else { return };
            if self.stuck && oldest.try_recv() == Err(TryRecvError::Empty) {
                // What comes after it is not waited for either.
                self.told.truncate(MAX_STEPS);
                return;
            }
            self.stuck = oldest.recv_timeout(patience) == Err(RecvTimeoutError::Timeout);
            if self.stuck {
                tracing::warn!("wallets do not take blocks, going on without them");
                return;
            }
            self.told.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn steps_wait_for_the_one_that_is_too_far_back() {
        let mut steps = Steps::default();
        let mut markers = VecDeque::new();
        for _ in 0..MAX_STEPS {
            let (marker, taken) = channel();
            markers.push_back(marker);
            steps.add(taken, LONG);
        }
        let (last, taken) = channel();
        std::thread::scope(|scope| {
            let adding = scope.spawn(|| steps.add(taken, LONG));
            drop(markers.pop_front());
            adding.join().unwrap();
        });
        assert_eq!(steps.told.len(), MAX_STEPS);
        drop(last);
    }

    #[test]
    fn wallets_that_take_nothing_are_waited_for_once() {
        let mut steps = Steps::default();
        let mut markers = Vec::new();
        let mut add = |steps: &mut Steps, patience| {
            let (marker, taken) = channel();
            markers.push(marker);
            steps.add(taken, patience);
        };
        (0..MAX_STEPS).for_each(|_| add(&mut steps, LONG));
        add(&mut steps, Duration::from_millis(1));
        let begin = Instant::now();
        (0..100).for_each(|_| add(&mut steps, LONG));
        assert!(begin.elapsed() < LONG && steps.stuck && steps.told.len() <= MAX_STEPS + 1);
        markers.clear();
        let (marker, taken) = channel();
        steps.add(taken, LONG);
        assert!(!steps.stuck);
        drop(marker);
    }
}

//! `-maxuploadtarget`: how much may be sent in a day, with enough kept back for new blocks.

use super::Engine;

/// Length of a cycle, seconds.
const CYCLE: i64 = 24 * 60 * 60;
/// A block that comes every so many seconds must always find room, bytes.
const BLOCK: u64 = 4_000_000;
const BLOCK_EVERY: i64 = 600;

/// What was sent in the present cycle.
#[derive(Debug, Default, Clone, Copy)]
pub struct Upload {
    started: i64,
    sent: u64,
}

/// What `getnettotals` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadFigures {
    /// Length of a cycle, seconds.
    pub timeframe: i64,
    /// Bytes per cycle; 0: no limit.
    pub target: u64,
    /// Nothing more may be sent, except new blocks.
    pub target_reached: bool,
    /// Old blocks are still served.
    pub serves_historical: bool,
    /// Bytes that may still be sent.
    pub bytes_left: u64,
    /// Seconds until the next cycle.
    pub time_left: i64,
}

impl Upload {
    /// Counts bytes; `now` in seconds.
    pub(crate) fn record(&mut self, bytes: u64, now: i64) {
        if self.started + CYCLE < now {
            self.started = now;
            self.sent = 0;
        }
        self.sent += bytes;
    }

    fn time_left(&self, now: i64) -> i64 {
        if self.started == 0 { CYCLE } else { (self.started + CYCLE - now).max(0) }
    }

    /// Whether the target is reached; with `historical`, what is kept back for new blocks counts as sent.
    pub(crate) fn is_reached(&self, target: u64, historical: bool, now: i64) -> bool {
        if target == 0 {
            return false;
        }
        if !historical {
            return self.sent >= target;
        }
        let blocks = u64::try_from(self.time_left(now) / BLOCK_EVERY).unwrap_or(0);
        let kept = blocks * BLOCK;
        kept >= target || self.sent >= target - kept
    }
}

impl Engine {
    /// Whether the upload target is reached.
    pub(crate) fn upload_reached(&self, historical: bool) -> bool {
        self.upload.is_reached(self.config.max_upload, historical, self.seconds())
    }

    /// What `getnettotals` shows.
    #[must_use]
    pub fn upload_figures(&self) -> UploadFigures {
        let target = self.config.max_upload;
        UploadFigures {
            timeframe: CYCLE,
            target,
            target_reached: self.upload_reached(false),
            serves_historical: !self.upload_reached(true),
            bytes_left: target.saturating_sub(self.upload.sent),
            time_left: if target == 0 { 0 } else { self.upload.time_left(self.seconds()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_blocks_leave_room_for_new_ones() {
        let target = 800 * 1024 * 1024;
        let mut upload = Upload::default();
        upload.record(1, CYCLE * 2);
        let spare = target - 144 * BLOCK;
        assert!(!upload.is_reached(target, true, CYCLE * 2));
        upload.record(spare, CYCLE * 2);
        assert!(upload.is_reached(target, true, CYCLE * 2));
        assert!(!upload.is_reached(target, false, CYCLE * 2));
        upload.record(target, CYCLE * 2);
        assert!(upload.is_reached(target, false, CYCLE * 2));
        // Half a day later fewer blocks are to come, and a day later all is forgotten.
        assert!(upload.is_reached(target, true, CYCLE * 2 + CYCLE / 2));
        upload.record(1, CYCLE * 3 + 1);
        assert!(!upload.is_reached(target, true, CYCLE * 3 + 1));
        assert!(!upload.is_reached(0, true, 0));
    }

    #[test]
    fn target_below_what_is_kept_back_serves_no_old_blocks() {
        assert!(Upload::default().is_reached(1024 * 1024, true, 0));
        assert!(!Upload::default().is_reached(1024 * 1024, false, 0));
    }
}

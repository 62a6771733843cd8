//! Checks of a block header (Core: `CheckBlockHeader`, `ContextualCheckBlockHeader`).

use bitcoin::block::Header;

use crate::params::Buried;
use crate::{MAX_FUTURE_BLOCK_TIME, MAX_TIMEWARP, Params, Reject, RejectKind, compact, pow};

/// What the rules need to know of a header further down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderFacts {
    /// Version as in the header.
    pub version: i32,
    /// Time stamp, in seconds.
    pub time: u32,
    /// Compact target.
    pub bits: u32,
}

/// A chain of headers from genesis to a tip.
pub trait HeaderView {
    /// Height of the tip; -1 for the empty chain.
    fn height(&self) -> i32;
    /// The header at `height`; `None` outside 0..=[`HeaderView::height`].
    fn header_at(&self, height: i32) -> Option<HeaderFacts>;

    /// Median time of the last eleven headers up to `height`, in seconds (BIP113); 0 for the empty chain.
    fn median_time_past(&self, height: i32) -> i64 {
        let mut times: Vec<u32> = (height - 10..=height).filter_map(|at| self.header_at(at)).map(|header| header.time).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().map_or(0, i64::from)
    }
}

/// Checks that the hash meets the target that the header claims.
pub fn check_proof_of_work(header: &Header, params: &Params) -> Result<(), Reject> {
    let target = compact::derive_target(header.bits.to_consensus(), params.pow_limit);
    match target {
        Some(target) if target.is_met_by(header.block_hash()) => Ok(()),
        _ => Err(Reject::header("high-hash", "proof of work failed")),
    }
}

/// Checks a header against the chain that it extends. `chain` ends in its parent; `now` is the node's clock, in seconds.
pub fn check_contextual(header: &Header, chain: &impl HeaderView, params: &Params, now: i64) -> Result<(), Reject> {
    let height = chain.height() + 1;
    let time = i64::from(header.time);
    if header.bits.to_consensus() != pow::next_work_required(chain, header.time, params) {
        return Err(Reject::header("bad-diffbits", "incorrect proof of work"));
    }
    if time <= chain.median_time_past(chain.height()) {
        return Err(Reject::header("time-too-old", "block's timestamp is too early"));
    }
    if params.enforce_bip94 && height % params.difficulty_interval() == 0 {
        let parent = chain.header_at(chain.height()).map_or(0, |facts| i64::from(facts.time));
        if time < parent - MAX_TIMEWARP {
            return Err(Reject::header("time-timewarp-attack", "block's timestamp is too early on diff adjustment block"));
        }
    }
    if time > now + MAX_FUTURE_BLOCK_TIME {
        return Err(Reject::new(RejectKind::TimeFuture, "time-too-new", "block timestamp too far in the future"));
    }
    let version = header.version.to_consensus();
    let outdated = (version < 2 && params.is_active_at(Buried::HeightInCoinbase, height))
        || (version < 3 && params.is_active_at(Buried::DerSig, height))
        || (version < 4 && params.is_active_at(Buried::Cltv, height));
    if outdated {
        return Err(Reject::header(format!("bad-version(0x{version:08x})"), format!("rejected nVersion=0x{version:08x} block")));
    }
    Ok(())
}

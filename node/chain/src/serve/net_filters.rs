//! Block filters for peers (BIP 157).

use bitcoin::BlockHash;
use bulkhead_schema::wire::net_chain_capnp::FilterPart;

use crate::indexes::Index;
use crate::indexes::filters::{find_filter, find_record};
use crate::rpc::Context;

/// Records of one answer.
const MAX_RECORDS: usize = 2001;
/// Bytes of filters in one answer.
const MAX_BYTES: usize = 8_000_000;
/// Blocks between two checkpoints.
const CHECKPOINT_INTERVAL: i32 = 1000;

/// One record; `content` only when it was asked for.
pub struct FoundFilter {
    pub block: BlockHash,
    pub content: Vec<u8>,
    pub hash: [u8; 32],
    pub header: [u8; 32],
}

/// Heights of a range, lowest first.
fn heights(start: i32, stop: i32, part: FilterPart) -> Vec<i32> {
    if part == FilterPart::Checkpoints {
        return (1..=stop / CHECKPOINT_INTERVAL).map(|number| number * CHECKPOINT_INTERVAL).take(MAX_RECORDS).collect();
    }
    (start..=stop).take(MAX_RECORDS).collect()
}

/// Filters of the blocks from a height to the block `stop`, on its branch. Empty when the index lacks one of them.
pub fn find(context: &Context, start: i32, stop: BlockHash, part: FilterPart) -> Vec<FoundFilter> {
    let Some(index) = context.indexes.filter.as_deref() else { return Vec::new() };
    index.wait_for_tip(&context.chain);
    let blocks: Vec<(i32, BlockHash)> = {
        let state = context.state();
        let Some(id) = state.lookup(&stop) else { return Vec::new() };
        heights(start, state.node(id).height, part)
            .into_iter()
            .filter_map(|height| Some((height, state.node(state.index().ancestor(id, height)?).hash)))
            .collect()
    };
    let mut found = Vec::with_capacity(blocks.len());
    let mut size = 0;
    for (height, hash) in blocks {
        let Some(filter) = one(index, height, hash, part) else { return Vec::new() };
        if size > 0 && size + filter.content.len() > MAX_BYTES {
            break;
        }
        size += filter.content.len();
        found.push(filter);
    }
    found
}

fn one(index: &Index, height: i32, block: BlockHash, part: FilterPart) -> Option<FoundFilter> {
    use bitcoin::hashes::Hash;
    let failed = |error| {
        tracing::error!("cannot read a block filter: {error}");
    };
    let (content, record) = if part == FilterPart::Contents {
        let (filter, record) = find_filter(index.store(), height, block).map_err(failed).ok()??;
        (filter.content, record)
    } else {
        (Vec::new(), find_record(index.store(), height, block).map_err(failed).ok()??)
    };
    Some(FoundFilter { block, content, hash: record.hash.to_byte_array(), header: record.header.to_byte_array() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_every_thousandth_block() {
        assert_eq!(heights(0, 2999, FilterPart::Checkpoints), [1000, 2000]);
        assert!(heights(0, 999, FilterPart::Checkpoints).is_empty());
        assert_eq!(heights(5, 7, FilterPart::Hashes), [5, 6, 7]);
        assert_eq!(heights(0, 5000, FilterPart::Contents).len(), MAX_RECORDS);
    }
}

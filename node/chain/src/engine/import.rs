//! Blocks from files: `-reindex` and `-loadblock` (Core: `ImportBlocks`, `LoadExternalBlockFile`).

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use bitcoin::block::Header;
use bitcoin::consensus::{Decodable, deserialize};
use bitcoin::{Block, BlockHash};
use bulkhead_consensus::block::Checks;
use bulkhead_consensus::{PreparedBlock, Reject, RejectKind};
use bulkhead_store::block_files::Position;
use bulkhead_store::flat::FlatFiles;

use super::stages::Stage;
use super::{ChainManager, EngineError};

const MIN_BLOCK: usize = 80;
const MAX_BLOCK: usize = 4_000_000;
/// Blocks that wait to be taken in; each may take some 10 MB.
const READ_AHEAD: usize = 3;
/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// A file given with `-loadblock`.
pub struct ImportSource {
    /// Path, for the log.
    pub name: String,
    /// The file, opened by whoever may open it.
    pub reader: Box<dyn Read + Send>,
}

impl std::fmt::Debug for ImportSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportSource").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Finds records (magic, length, payload) in a stream that may hold other things between them.
struct Scanner<R> {
    reader: R,
    magic: [u8; 4],
    buffer: Vec<u8>,
    /// Place in `buffer` where the search goes on.
    at: usize,
    /// Offset of `buffer` in the stream.
    base: u64,
    ended: bool,
}

impl<R: Read> Scanner<R> {
    fn new(reader: R, magic: [u8; 4]) -> Self {
        Self { reader, magic, buffer: Vec::new(), at: 0, base: 0, ended: false }
    }

    /// Makes at least `count` bytes available after `at`, if the stream has them.
    fn fill(&mut self, count: usize) -> std::io::Result<bool> {
        while !self.ended && self.buffer.len() - self.at < count {
            if self.at > CHUNK {
                self.buffer.drain(..self.at);
                self.base += self.at as u64;
                self.at = 0;
            }
            let old = self.buffer.len();
            self.buffer.resize(old + CHUNK, 0);
            let read = self.reader.read(&mut self.buffer[old..])?;
            self.buffer.truncate(old + read);
            self.ended = read == 0;
        }
        Ok(self.buffer.len() - self.at >= count)
    }

    /// The next record: offset of the payload in the stream, and the payload.
    fn next(&mut self) -> std::io::Result<Option<(u64, Vec<u8>)>> {
        while self.fill(8)? {
            let window = &self.buffer[self.at..];
            let Some(skip) = window.windows(4).position(|bytes| bytes == self.magic) else {
                self.at = self.buffer.len() - 3;
                continue;
            };
            self.at += skip;
            if !self.fill(8)? {
                return Ok(None);
            }
            let length =
                self.buffer[self.at + 4..self.at + 8].iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte));
            if !(MIN_BLOCK..=MAX_BLOCK).contains(&length) || !self.fill(8 + length)? {
                self.at += 1;
                continue;
            }
            let start = self.at + 8;
            let payload = self.buffer[start..start + length].to_vec();
            let offset = self.base + start as u64;
            self.at = start + length;
            return Ok(Some((offset, payload)));
        }
        Ok(None)
    }
}

/// Reads a block file without its XOR layer.
struct Unmasked<'a> {
    files: &'a FlatFiles,
    file: std::fs::File,
    offset: u64,
}

impl Read for Unmasked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.files.unmask(&mut buffer[..read], self.offset);
        self.offset += read as u64;
        Ok(read)
    }
}

/// A block of a file.
struct Record {
    /// Where its payload starts.
    offset: u64,
    header: Header,
    /// `None`: it is bad.
    block: Option<Arc<PreparedBlock>>,
}

/// Blocks of a reindex whose parent was not seen yet: parent to places.
type Orphans = HashMap<BlockHash, Vec<Position>>;

impl ChainManager {
    /// Does all imports that were asked for, then makes the best chain active. For the thread that starts the node.
    pub fn import(&self, sources: Vec<ImportSource>) -> Result<(), EngineError> {
        self.importing.store(true, Ordering::Release);
        let result = self.import_all(sources);
        self.importing.store(false, Ordering::Release);
        let mut state = self.lock();
        self.update_initial_download(&mut state);
        self.publish_tip(&state);
        result
    }

    fn import_all(&self, sources: Vec<ImportSource>) -> Result<(), EngineError> {
        let indexed = self.lock().blockfiles_indexed;
        if !indexed {
            self.reindex()?;
            if self.is_interrupted() {
                return Ok(());
            }
        }
        for source in sources {
            tracing::info!("Importing blocks file {}...", source.name);
            self.load_stream(source.reader, None)?;
            if self.is_interrupted() {
                tracing::info!("Interrupt requested. Exit block importing.");
                return Ok(());
            }
        }
        self.activate_best_chain(None, &mut None)
    }

    fn reindex(&self) -> Result<(), EngineError> {
        let files = self.lock().files.blocks().clone();
        let total = (0u32..).take_while(|number| files.exists(*number)).count() as u32; // below 2^32 files
        let mut orphans = Orphans::new();
        for number in 0..total {
            let Ok(file) = std::fs::File::open(files.path(number)) else { break };
            tracing::info!("Reindexing block file blk{number:05}.dat ({}% complete)...", number * 100 / total.max(1));
            let reader = Unmasked { files: &files, file, offset: 0 };
            self.load_stream(reader, Some((number, &mut orphans)))?;
            if self.is_interrupted() {
                tracing::info!("Interrupt requested. Exit reindexing.");
                return Ok(());
            }
        }
        let mut state = self.lock();
        self.sync(&mut state)?;
        state.index_db.set_reindexing(false)?;
        state.blockfiles_indexed = true;
        tracing::info!("Reindexing finished");
        self.add_genesis(&mut state)
    }

    /// Takes in all blocks of a stream. `place`: the stream is that block file, and blocks stay where they are. A thread reads,
    /// decodes and checks ahead.
    fn load_stream(&self, reader: impl Read + Send, place: Option<(u32, &mut Orphans)>) -> Result<(), EngineError> {
        let started = Instant::now();
        let (sender, records) = sync_channel(READ_AHEAD);
        let loaded = std::thread::scope(|scope| {
            scope.spawn(move || self.scan(reader, &sender));
            // The thread ends when nobody takes its records any more.
            self.load_records(records, place)
        })?;
        tracing::info!("Loaded {loaded} blocks from external file in {}ms", started.elapsed().as_millis());
        Ok(())
    }

    fn scan(&self, reader: impl Read, records: &SyncSender<Record>) {
        let mut scanner = Scanner::new(reader, self.params().magic);
        loop {
            let next = self.stages.time(Stage::Read, || scanner.next());
            let record = next.unwrap_or_else(|error| {
                tracing::error!("read error while loading blocks: {error}");
                None
            });
            let Some((offset, payload)) = record else { return };
            let Some(header) = payload.get(..80).and_then(|bytes| deserialize::<Header>(bytes).ok()) else { continue };
            if records.send(Record { offset, header, block: self.decode(&payload) }).is_err() {
                return;
            }
        }
    }

    /// Decodes a block and checks what needs no coins; logs why it is refused.
    fn decode(&self, payload: &[u8]) -> Option<Arc<PreparedBlock>> {
        let mut rest = payload;
        let block = match self.stages.time(Stage::Read, || Block::consensus_decode(&mut rest).map(PreparedBlock::new)) {
            Ok(block) => Arc::new(block),
            Err(error) => {
                tracing::debug!(target: "reindex", "LoadExternalBlockFile: unexpected data - {error}. continuing");
                return None;
            }
        };
        let check = || {
            self.check_block(&block, Checks::ALL)?;
            // They are needed when the block is taken in.
            block.wtxids();
            Ok::<(), Reject>(())
        };
        if let Err(reject) = self.stages.time(Stage::Check, check) {
            tracing::error!("AcceptBlock: {reject}");
            return None;
        }
        Some(block)
    }

    fn load_records(&self, records: Receiver<Record>, mut place: Option<(u32, &mut Orphans)>) -> Result<u32, EngineError> {
        let mut loaded = 0u32;
        for Record { offset, header, block } in records {
            if self.is_interrupted() {
                break;
            }
            // Offsets of block files fit 32 bits; those of other files are not used.
            let position = place.as_ref().map(|(file, _)| Position { file: *file, offset: offset as u32 });
            let hash = header.block_hash();
            let known_parent = self.lock().lookup(&header.prev_blockhash).is_some();
            if hash != self.params().genesis_hash && !known_parent {
                tracing::debug!(target: "reindex", "LoadExternalBlockFile: Out of order block {hash}, parent {} not known", header.prev_blockhash);
                if let (Some((_, orphans)), Some(position)) = (&mut place, position) {
                    orphans.entry(header.prev_blockhash).or_default().push(position);
                }
                continue;
            }
            if self.load_block(hash, block.as_ref(), position)? {
                loaded += 1;
                self.activate_for_pruning(block)?;
            }
            if hash == self.params().genesis_hash && self.tip().height == -1 {
                self.activate_best_chain(None, &mut None)?;
            }
            self.notify_header_tip();
            if let Some((_, orphans)) = &mut place {
                loaded += self.load_orphans(hash, orphans)?;
            }
        }
        Ok(loaded)
    }

    /// With `-prune` the chain must follow the import, or nothing could be pruned before its end.
    fn activate_for_pruning(&self, block: Option<Arc<PreparedBlock>>) -> Result<(), EngineError> {
        if self.options().prune.is_none() || !self.lock().blockfiles_indexed {
            return Ok(());
        }
        self.activate_best_chain(block, &mut None)
    }

    /// Takes in one block; gives whether it was new. `None`: it was found bad already.
    fn load_block(
        &self,
        hash: BlockHash,
        block: Option<&Arc<PreparedBlock>>,
        position: Option<Position>,
    ) -> Result<bool, EngineError> {
        let mut state = self.lock();
        if let Some(id) = state.lookup(&hash).filter(|id| state.node(*id).have_data()) {
            let height = state.node(id).height;
            if hash != self.params().genesis_hash && height % 1000 == 0 {
                tracing::debug!(target: "reindex", "Block Import: already had block {hash} at height {height}");
            }
            return Ok(false);
        }
        let Some(block) = block else { return Ok(false) };
        match self.stages.time(Stage::Store, || self.accept_block(&mut state, block, true, position, true)) {
            Ok((_, is_new)) => Ok(is_new),
            Err(reject) if reject.kind == RejectKind::System => Err(EngineError::Invalid(reject)),
            Err(_) => Ok(false),
        }
    }

    /// Takes in blocks that waited for `parent`, and those that waited for them.
    fn load_orphans(&self, parent: BlockHash, orphans: &mut Orphans) -> Result<u32, EngineError> {
        let mut loaded = 0;
        let mut queue = vec![parent];
        while let Some(parent) = queue.pop() {
            for position in orphans.remove(&parent).unwrap_or_default() {
                let payload = self.lock().files.read_raw_block(position)?;
                let Some(header) = payload.get(..80).and_then(|bytes| deserialize::<Header>(bytes).ok()) else { continue };
                let hash = header.block_hash();
                tracing::debug!(target: "reindex", "LoadExternalBlockFile: Processing out of order child {hash} of {parent}");
                if self.load_block(hash, self.decode(&payload).as_ref(), Some(position))? {
                    loaded += 1;
                    queue.push(hash);
                }
            }
        }
        Ok(loaded)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(magic: [u8; 4], payload: &[u8]) -> Vec<u8> {
        [&magic[..], &(payload.len() as u32).to_le_bytes(), payload].concat()
    }

    #[test]
    fn records_are_found_between_other_bytes_and_cut_ones_are_skipped() {
        let magic = [1, 2, 3, 4];
        let one = vec![7u8; 100];
        let two = vec![8u8; 90];
        let mut stream = vec![0, 1, 2, 1, 2, 3];
        stream.extend(record(magic, &one));
        stream.extend([1, 2, 3, 4, 1, 0, 0, 0]); // too short to be a block
        stream.extend([1, 2, 3, 4, 0xff, 0xff, 0, 0]); // longer than the stream
        stream.extend(record(magic, &two));
        stream.extend([1, 2, 3]);
        let mut scanner = Scanner::new(stream.as_slice(), magic);
        assert_eq!(scanner.next().unwrap(), Some((14, one)));
        assert_eq!(scanner.next().unwrap().map(|(_, payload)| payload), Some(two));
        assert_eq!(scanner.next().unwrap(), None);
    }
}

//! Blocks from files: `-reindex` and `-loadblock` (Core: `ImportBlocks`, `LoadExternalBlockFile`).

use std::collections::HashMap;
use std::io::{Read, Seek};
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

use super::activate::AtHand;
use super::ahead::CoinReader;
use super::scanner::{Scanner, each_header};
use super::stages::Stage;
use super::{ChainManager, EngineError};

/// Blocks that wait to be taken in; each may take some 10 MB.
const READ_AHEAD: usize = 3;

/// Where blocks are read from; what cannot seek (a pipe) is read once.
pub trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// A file given with `-loadblock`.
pub struct ImportSource {
    /// Path, for the log.
    pub name: String,
    /// The file, opened by whoever may open it.
    pub reader: Box<dyn Source>,
}

impl std::fmt::Debug for ImportSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportSource").field("name", &self.name).finish_non_exhaustive()
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
    block: Option<AtHand>,
}

/// What becomes of the blocks of a stream.
enum Taking<'a> {
    /// The stream is this block file, and they stay where they are.
    InPlace(u32, &'a mut Orphans),
    /// They are stored, and connected when all are.
    Store,
    /// They are stored and connected while they are at hand: the headers of all are known.
    Connect,
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
        for mut source in sources {
            tracing::info!("Importing blocks file {}...", source.name);
            // Which scripts are assumed to be valid depends on headers above.
            let taking = if self.load_headers(&mut source.reader) { Taking::Connect } else { Taking::Store };
            self.load_stream(source.reader, taking)?;
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
            self.load_stream(reader, Taking::InPlace(number, &mut orphans))?;
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

    /// Takes in the headers of a file; `false` if it cannot be read twice. Those that are refused are met again with their blocks.
    fn load_headers(&self, reader: &mut impl Source) -> bool {
        let read = each_header(reader, self.params().magic, |bytes| {
            if let Ok(header) = deserialize::<Header>(bytes) {
                // The reason is logged when its block is refused.
                let _ = self.accept_header(&mut self.lock(), &header, true);
            }
        });
        self.notify_header_tip();
        read.is_ok()
    }

    /// Takes in all blocks of a stream. A thread reads, decodes and checks ahead.
    fn load_stream(&self, reader: impl Read + Send, taking: Taking<'_>) -> Result<(), EngineError> {
        let started = Instant::now();
        let (sender, records) = sync_channel(READ_AHEAD);
        let coins = matches!(taking, Taking::Connect).then(|| CoinReader::new(self.lock().coins.prefetcher(), READ_AHEAD + 3));
        let loaded = std::thread::scope(|scope| {
            scope.spawn(move || self.scan(reader, coins, &sender));
            // The thread ends when nobody takes its records any more.
            self.load_records(records, taking)
        })?;
        tracing::info!("Loaded {loaded} blocks from external file in {}ms", started.elapsed().as_millis());
        Ok(())
    }

    fn scan(&self, reader: impl Read, mut coins: Option<CoinReader>, records: &SyncSender<Record>) {
        let mut scanner = Scanner::new(reader, self.params().magic);
        loop {
            let next = self.stages.time(Stage::Read, || scanner.next());
            let record = next.unwrap_or_else(|error| {
                tracing::error!("read error while loading blocks: {error}");
                None
            });
            let Some((offset, payload)) = record else { return };
            let Some(header) = payload.get(..80).and_then(|bytes| deserialize::<Header>(bytes).ok()) else { continue };
            let block = self.decode(&payload).map(|block| {
                let coins = coins.as_mut().and_then(|coins| self.stages.time(Stage::Prefetch, || coins.read(&block)));
                AtHand::new(block, coins)
            });
            if records.send(Record { offset, header, block }).is_err() {
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

    fn load_records(&self, records: Receiver<Record>, mut taking: Taking<'_>) -> Result<u32, EngineError> {
        let mut loaded = 0u32;
        for Record { offset, header, block } in records {
            if self.is_interrupted() {
                break;
            }
            // Offsets of block files fit 32 bits; those of other files are not used.
            let position = match &taking {
                Taking::InPlace(file, _) => Some(Position { file: *file, offset: offset as u32 }),
                Taking::Store | Taking::Connect => None,
            };
            let hash = header.block_hash();
            let known_parent = self.lock().lookup(&header.prev_blockhash).is_some();
            if hash != self.params().genesis_hash && !known_parent {
                tracing::debug!(target: "reindex", "LoadExternalBlockFile: Out of order block {hash}, parent {} not known", header.prev_blockhash);
                if let (Taking::InPlace(_, orphans), Some(position)) = (&mut taking, position) {
                    orphans.entry(header.prev_blockhash).or_default().push(position);
                }
                continue;
            }
            if self.load_block(hash, block.as_ref().map(|block| &block.block), position)? {
                loaded += 1;
                if self.connects_now(&taking) {
                    self.activate_best_chain(block, &mut None)?;
                }
            }
            if hash == self.params().genesis_hash && self.tip().height == -1 {
                self.activate_best_chain(None, &mut None)?;
            }
            self.notify_header_tip();
            if let Taking::InPlace(_, orphans) = &mut taking {
                loaded += self.load_orphans(hash, orphans)?;
            }
        }
        Ok(loaded)
    }

    /// Whether the chain follows while blocks are taken in. With `-prune` it must, or nothing could be pruned before the end.
    fn connects_now(&self, taking: &Taking<'_>) -> bool {
        if self.options().prune.is_some() {
            return self.lock().blockfiles_indexed;
        }
        // As in Core, blocks above the height at which the node stops are stored before it stops.
        let stop = self.options().stop_at_height;
        matches!(taking, Taking::Connect) && (stop == 0 || self.tip().height + 1 < stop)
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
    use std::collections::HashSet;
    use std::io::SeekFrom;
    use std::path::Path;

    use super::*;
    use crate::engine::{EngineOptions, Silent};
    use bulkhead_consensus::networks;

    const STOP: i32 = 20;

    /// A pipe: it cannot be read twice.
    struct Pipe(std::io::Cursor<Vec<u8>>);

    impl Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Seek for Pipe {
        fn seek(&mut self, _: SeekFrom) -> std::io::Result<u64> {
            Err(std::io::ErrorKind::NotSeekable.into())
        }
    }

    /// What an import of the chain that Core made leaves: its tip, and the blocks whose data is there.
    fn imported(reader: Box<dyn Source>, stop: i32) -> (BlockHash, i32, HashSet<BlockHash>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("blocks")).unwrap();
        let mut options = EngineOptions::new(networks::regtest(), folder.path().to_path_buf(), || 1_700_000_000);
        options.stop_at_height = stop;
        let manager = ChainManager::open(options, Arc::new(Silent)).unwrap();
        manager.activate().unwrap();
        manager.import(vec![ImportSource { name: "blocks.dat".into(), reader }]).unwrap();
        let state = manager.lock();
        let stored = state.index.ids().map(|id| state.node(id)).filter(|node| node.have_data()).map(|node| node.hash).collect();
        (manager.tip().hash, manager.tip().height, stored)
    }

    #[test]
    fn blocks_at_hand_make_the_chain_that_stored_ones_make() {
        let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/crosscheck/blocks.dat")).unwrap();
        let cursor = || std::io::Cursor::new(bytes.clone());
        let at_hand = imported(Box::new(cursor()), 0);
        assert_eq!(at_hand, imported(Box::new(Pipe(cursor())), 0));
        assert!(at_hand.1 > STOP, "the chain is long enough for the rest");
        let (_, height, stored) = imported(Box::new(cursor()), STOP);
        assert_eq!((height, &stored), (STOP, &at_hand.2), "blocks above are stored all the same");
    }
}

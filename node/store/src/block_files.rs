//! Block and undo files (Core: `node/blockstorage.cpp`). Record: network magic, length, payload; undo records end in a checksum.

use std::collections::BTreeSet;
use std::path::Path;

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash};

use crate::StoreError;
use crate::block_index::FileInfo;
use crate::block_reader::{BlockReader, CHECKSUM, HEADER, checksum};
use crate::flat::FlatFiles;
use crate::undo::BlockUndo;
use crate::xor::XorKey;

/// A block file is not extended beyond this, in bytes.
const MAX_BLOCK_FILE: u32 = 0x0800_0000;
const BLOCK_CHUNK: u64 = 0x0100_0000;
const UNDO_CHUNK: u64 = 0x0010_0000;
/// With `-fastprune`: 64 KiB files and 16 KiB chunks.
const FAST_MAX_BLOCK_FILE: u32 = 0x1_0000;
const FAST_BLOCK_CHUNK: u64 = 0x4000;

/// Where a record's payload starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Number of the file.
    pub file: u32,
    /// Offset, in bytes.
    pub offset: u32,
}

/// How to keep block files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockFileOptions {
    /// Magic of the network.
    pub magic: [u8; 4],
    /// `-fastprune`.
    pub fast_prune: bool,
    /// `-blocksxor`.
    pub xor: bool,
    /// Height of the block that a snapshot of coins belongs to: blocks from there on get files of their own, so that those
    /// below can be pruned apart from them.
    pub snapshot_height: Option<u32>,
}

/// Where a chain's next block goes.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    file: u32,
    /// Height up to which undo data of that file was written.
    undo_height: i32,
}

/// All block and undo files of a node.
#[derive(Debug)]
pub struct BlockFiles {
    reader: BlockReader,
    key: XorKey,
    fast_prune: bool,
    infos: Vec<FileInfo>,
    /// For blocks below a snapshot, or for all.
    normal: Cursor,
    /// For blocks from a snapshot on; `None` until the first is written.
    assumed: Option<Cursor>,
    snapshot_height: Option<u32>,
    dirty_infos: BTreeSet<u32>,
    /// Files with data that was not synced: block, undo.
    unsynced_blocks: BTreeSet<u32>,
    unsynced_undo: BTreeSet<u32>,
}

impl BlockFiles {
    /// Opens the series in `directory` with what the index knows of them.
    pub fn open(directory: &Path, options: BlockFileOptions, infos: Vec<FileInfo>) -> Result<Self, StoreError> {
        let key = XorKey::load_or_create(directory, options.xor)?;
        let chunk = if options.fast_prune { FAST_BLOCK_CHUNK } else { BLOCK_CHUNK };
        let mut files = Self {
            reader: BlockReader {
                blocks: FlatFiles::new(directory, "blk", chunk, key),
                undo: FlatFiles::new(directory, "rev", UNDO_CHUNK, key),
                magic: options.magic,
            },
            key,
            fast_prune: options.fast_prune,
            infos,
            normal: Cursor::default(),
            assumed: None,
            snapshot_height: options.snapshot_height,
            dirty_infos: BTreeSet::new(),
            unsynced_blocks: BTreeSet::new(),
            unsynced_undo: BTreeSet::new(),
        };
        for file in 0..files.infos.len() as u32 {
            // fewer than 2^32 files
            let cursor = Cursor { file, undo_height: 0 };
            if files.is_assumed(files.info(file).height_last) {
                files.assumed = Some(cursor);
            } else {
                files.normal = cursor;
            }
        }
        Ok(files)
    }

    /// Gives blocks from a snapshot on files of their own from now on.
    pub fn set_snapshot_height(&mut self, height: u32) {
        self.snapshot_height = Some(height);
    }

    fn is_assumed(&self, height: u32) -> bool {
        self.snapshot_height.is_some_and(|base| height >= base)
    }

    /// Where a block of this height goes.
    fn cursor(&mut self, height: u32) -> &mut Cursor {
        if !self.is_assumed(height) {
            return &mut self.normal;
        }
        let file = self.infos.len().max(1) as u32; // fewer than 2^32 files
        self.assumed.get_or_insert_with(|| {
            tracing::debug!(target: "blockstorage", "[assumed] initializing blockfile cursor to BlockfileCursor(file_num={file}, undo_height=0)");
            Cursor { file, undo_height: 0 }
        })
    }

    /// Before a rebuild of a pruned node: removes undo files, and block files that do not follow each other from 0 on, because
    /// blocks that were pruned must be fetched again (Core: `CleanupBlockRevFiles`).
    pub fn clean_up(directory: &Path) -> Result<(), StoreError> {
        tracing::info!("Removing unusable blk?????.dat and rev?????.dat files for -reindex with -prune");
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(StoreError::file(directory))? {
            let entry = entry.map_err(StoreError::file(directory))?;
            let name = entry.file_name();
            let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".dat")).filter(|stem| stem.len() == 8) else {
                continue;
            };
            if stem.starts_with("rev") {
                std::fs::remove_file(entry.path()).map_err(StoreError::file(entry.path()))?;
            } else if let Some(number) = stem.strip_prefix("blk").and_then(|digits| digits.parse::<u32>().ok()) {
                numbers.push((number, entry.path()));
            }
        }
        numbers.sort_unstable();
        for (expected, (number, path)) in (0u32..).zip(numbers) {
            if number != expected {
                std::fs::remove_file(&path).map_err(StoreError::file(&path))?;
            }
        }
        Ok(())
    }

    /// The XOR key, for the log.
    pub fn key(&self) -> XorKey {
        self.key
    }

    /// The series of block files.
    pub fn blocks(&self) -> &FlatFiles {
        &self.reader.blocks
    }

    /// The series of undo files.
    pub fn undo_files(&self) -> &FlatFiles {
        &self.reader.undo
    }

    /// Known files.
    pub fn infos(&self) -> &[FileInfo] {
        &self.infos
    }

    /// Bytes that block and undo files use.
    pub fn disk_usage(&self) -> u64 {
        self.infos.iter().map(|info| u64::from(info.size) + u64::from(info.undo_size)).sum()
    }

    /// Appends a block; gives the position of its payload.
    pub fn write_block(&mut self, block: &Block, height: u32) -> Result<Position, StoreError> {
        let payload = serialize(block);
        let size = payload.len() as u32; // blocks are below 2^32 bytes
        let position = self.next_position(size + HEADER, height, u64::from(block.header.time))?;
        let mut record = self.frame(payload, &[]);
        self.reader.blocks.write(position.file, position.offset, &mut record)?;
        self.unsynced_blocks.insert(position.file);
        Ok(Position { file: position.file, offset: position.offset + HEADER })
    }

    fn frame(&self, payload: Vec<u8>, tail: &[u8]) -> Vec<u8> {
        let mut record = Vec::with_capacity(payload.len() + tail.len() + 8);
        record.extend_from_slice(&self.reader.magic);
        record.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        record.extend_from_slice(&payload);
        record.extend_from_slice(tail);
        record
    }

    fn next_position(&mut self, add: u32, height: u32, time: u64) -> Result<Position, StoreError> {
        let limit = if self.fast_prune { FAST_MAX_BLOCK_FILE.max(add + 1) } else { MAX_BLOCK_FILE };
        if self.infos.is_empty() {
            self.infos.push(FileInfo::default());
        }
        let Cursor { file: old, undo_height } = *self.cursor(height);
        let mut file = old;
        let mut finalize_undo = false;
        while self.info(file).size + add >= limit {
            finalize_undo = self.info(file).height_last as i32 == undo_height; // heights are below 2^31
            file = self.infos.len() as u32; // fewer than 2^32 files
            self.infos.push(FileInfo::default());
        }
        if file != old {
            tracing::debug!(target: "blockstorage", "Leaving block file {}: {} (onto {}) (height {})", old, describe(self.info(old)), file, height);
            self.sync_block_file(old, true)?;
            if finalize_undo {
                self.sync_undo_file(old, true)?;
            }
            *self.cursor(height) = Cursor { file, undo_height: 0 };
        }
        let info = self.info_mut(file);
        let offset = info.size;
        info.add_block(height, time);
        info.size += add;
        Ok(Position { file, offset })
    }

    /// Notes a block that stands in a block file already (`-reindex`). `position` is that of its payload.
    pub fn note_block(&mut self, height: u32, time: u64, size: u32, position: Position) {
        let cursor = self.cursor(height);
        if cursor.file < position.file {
            *cursor = Cursor { file: position.file, undo_height: 0 };
        }
        let info = self.info_mut(position.file);
        info.add_block(height, time);
        info.size = info.size.max(position.offset + size);
    }

    /// Appends undo data next to the block's file; gives the position of its payload. `parent` is the hash of the block before.
    pub fn write_undo(&mut self, undo: &BlockUndo, parent: BlockHash, file: u32, height: u32) -> Result<Position, StoreError> {
        let payload = undo.encode();
        let checksum = checksum(parent, &payload);
        let size = (payload.len() + CHECKSUM) as u32 + HEADER; // undo data is below 2^32 bytes
        let info = self.info_mut(file);
        let offset = info.undo_size;
        info.undo_size += size;
        let last_height = info.height_last;
        let mut record = self.frame(payload, checksum.as_byte_array());
        self.reader.undo.write(file, offset, &mut record)?;
        self.unsynced_undo.insert(file);
        let cursor = self.cursor(height);
        if file < cursor.file && height == last_height {
            self.sync_undo_file(file, true)?;
        } else if file == cursor.file {
            cursor.undo_height = cursor.undo_height.max(height as i32); // heights are below 2^31
        }
        Ok(Position { file, offset: offset + HEADER })
    }

    /// For reading on other threads while blocks are written here.
    pub fn reader(&self) -> &BlockReader {
        &self.reader
    }

    /// Reads the bytes of a block, unchecked.
    pub fn read_raw_block(&self, position: Position) -> Result<Vec<u8>, StoreError> {
        self.reader.read_raw_block(position)
    }

    /// Reads a block, which must have the hash `expected`.
    pub fn read_block(&self, position: Position, expected: BlockHash) -> Result<Block, StoreError> {
        self.reader.read_block(position, expected)
    }

    /// Reads the undo data of a block whose parent is `parent`.
    pub fn read_undo(&self, position: Position, parent: BlockHash) -> Result<BlockUndo, StoreError> {
        self.reader.read_undo(position, parent)
    }

    /// Brings everything written so far to the disk.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        if !self.infos.is_empty() {
            // Both files of a pair that is written to exist after a flush, as with Core.
            for cursor in [Some(self.normal), self.assumed].into_iter().flatten() {
                self.unsynced_blocks.insert(cursor.file);
                self.unsynced_undo.insert(cursor.file);
            }
        }
        for file in std::mem::take(&mut self.unsynced_blocks) {
            self.reader.blocks.sync(file, None)?;
        }
        for file in std::mem::take(&mut self.unsynced_undo) {
            self.reader.undo.sync(file, None)?;
        }
        Ok(())
    }

    fn sync_block_file(&mut self, file: u32, finalize: bool) -> Result<(), StoreError> {
        self.unsynced_blocks.remove(&file);
        self.reader.blocks.sync(file, finalize.then(|| self.info(file).size))
    }

    fn sync_undo_file(&mut self, file: u32, finalize: bool) -> Result<(), StoreError> {
        self.unsynced_undo.remove(&file);
        self.reader.undo.sync(file, finalize.then(|| self.info(file).undo_size))
    }

    /// Forgets a pruned file; [`BlockFiles::remove`] it once that is written.
    pub fn forget(&mut self, file: u32) {
        *self.info_mut(file) = FileInfo::default();
        self.unsynced_blocks.remove(&file);
        self.unsynced_undo.remove(&file);
    }

    /// Removes a pair of files from the disk.
    pub fn remove(&self, file: u32) -> Result<(), StoreError> {
        self.reader.blocks.remove(file)?;
        self.reader.undo.remove(file)
    }

    /// File information changed since the last call.
    pub fn take_dirty(&mut self) -> Vec<(u32, FileInfo)> {
        let dirty = std::mem::take(&mut self.dirty_infos);
        dirty.into_iter().map(|file| (file, self.info(file))).collect()
    }

    fn info(&self, file: u32) -> FileInfo {
        self.infos.get(file as usize).copied().unwrap_or_default()
    }

    fn info_mut(&mut self, file: u32) -> &mut FileInfo {
        self.dirty_infos.insert(file);
        let file = file as usize;
        if self.infos.len() <= file {
            self.infos.resize(file + 1, FileInfo::default());
        }
        &mut self.infos[file]
    }
}

fn describe(info: FileInfo) -> String {
    format!(
        "CBlockFileInfo(blocks={}, size={}, heights={}...{}, time={}...{})",
        info.blocks, info.size, info.height_first, info.height_last, info.time_first, info.time_last
    )
}

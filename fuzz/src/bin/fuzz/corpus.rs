//! The inputs that are worth changing: the seeds of the repository, and what earlier runs found.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bulkhead_fuzz::mutate::Random;

/// Folder of the committed seeds of a target.
pub fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// Inputs in memory; those that show something new are also written down.
pub struct Corpus {
    inputs: Vec<Vec<u8>>,
    /// How many of them, from the first on, are those of the repository.
    committed: usize,
    folder: PathBuf,
}

impl Corpus {
    /// An empty one that keeps what it is given in this folder.
    pub fn new(folder: &Path) -> Self {
        Self { inputs: Vec::new(), committed: 0, folder: folder.to_owned() }
    }

    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Adds one; those of the repository come before all others.
    pub fn push(&mut self, input: Vec<u8>, committed: bool) {
        self.inputs.push(input);
        self.committed += usize::from(committed);
    }

    /// Writes an input down.
    pub fn keep(&mut self, input: Vec<u8>) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        fs::write(self.folder.join(name(&input)), &input)?;
        self.inputs.push(input);
        Ok(())
    }

    /// One input; newer ones are taken more often, and those of the repository: somebody meant something by them.
    pub fn pick<'a>(&'a self, random: &mut Random) -> &'a [u8] {
        let length = self.inputs.len();
        let index = match random.below(4) {
            0 if self.committed > 0 => random.below(self.committed),
            0 | 1 => random.below(length),
            _ => length - 1 - random.below(length.div_ceil(4)),
        };
        self.inputs.get(index).map_or(&[], Vec::as_slice)
    }
}

/// All files of a folder, in order; none when there is no such folder.
pub fn read(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(fs::read).collect()
}

/// Keeps an input that is a finding; answers where.
pub fn keep_finding(work: &Path, target: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = work.join("findings").join(target);
    fs::create_dir_all(&folder)?;
    let path = folder.join(name(input));
    fs::write(&path, input)?;
    Ok(path)
}

/// A name from the content (FNV-1a), so that the same input is kept once.
pub fn name(input: &[u8]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in input {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

//! The inputs that are worth changing: the seeds of the repository, and what earlier runs found.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_fuzz::mutate::Random;

/// Folder of the committed seeds of a target.
pub fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// What an input may take without being passed over.
const QUICK: Duration = Duration::from_micros(50);
/// Inputs that are passed over at most before one is taken as it is.
const PASSED_OVER: usize = 4;

/// An input and how long the target took over it.
struct Input {
    bytes: Vec<u8>,
    took: Duration,
}

/// Inputs in memory; those that show something new are also written down.
pub struct Corpus {
    inputs: Vec<Input>,
    /// What all of them took together.
    took: Duration,
    /// How many of them, from the first on, are those of the repository.
    committed: usize,
    folder: PathBuf,
}

impl Corpus {
    /// An empty one that keeps what it is given in this folder.
    pub fn new(folder: &Path) -> Self {
        Self { inputs: Vec::new(), took: Duration::ZERO, committed: 0, folder: folder.to_owned() }
    }

    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Adds one; those of the repository come before all others.
    pub fn push(&mut self, bytes: Vec<u8>, took: Duration, committed: bool) {
        self.inputs.push(Input { bytes, took });
        self.took += took;
        self.committed += usize::from(committed);
    }

    /// Adds one and writes it down.
    pub fn keep(&mut self, bytes: Vec<u8>, took: Duration) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        fs::write(self.folder.join(name(&bytes)), &bytes)?;
        self.push(bytes, took, false);
        Ok(())
    }

    /// One input. What takes n times the mean is passed over n - 1 times of n, so that a few slow inputs do not get most of the time.
    pub fn pick<'a>(&'a self, random: &mut Random) -> &'a [u8] {
        let mean = self.took / u32::try_from(self.inputs.len().max(1)).unwrap_or(u32::MAX);
        let enough = mean.max(QUICK).as_micros();
        for _ in 0..PASSED_OVER {
            let Some(input) = self.any(random) else { return &[] };
            let times = usize::try_from(input.took.as_micros() / enough).unwrap_or(usize::MAX);
            if random.below(times) == 0 {
                return &input.bytes;
            }
        }
        self.any(random).map_or(&[], |input| input.bytes.as_slice())
    }

    /// Newer ones are taken more often, and those of the repository: somebody meant something by them.
    fn any(&self, random: &mut Random) -> Option<&Input> {
        let length = self.inputs.len();
        let index = match random.below(4) {
            0 if self.committed > 0 => random.below(self.committed),
            0 | 1 => random.below(length),
            _ => length - 1 - random.below(length.div_ceil(4)),
        };
        self.inputs.get(index)
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

//! Files of fixed names in the network's data directory. They are opened before confinement for reading; for writing the
//! supervisor opens them, because the directory is out of reach then.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::SystemTime;

use bulkhead_control::{ChainConfig, ControlError, Handle, OpenFile, Request};
use bulkhead_mempool::estimator::Estimator;

use crate::mempool_accept::Pool;
use crate::mempool_accept::persist;

/// Estimates of this age are stale, hours.
const MAX_FEE_FILE_AGE: u64 = 60;
/// Far above what an estimator writes.
const MAX_FEE_FILE_BYTES: u64 = 16 << 20;

/// Why a file cannot be had or written.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// The supervisor refuses or is gone.
    #[error(transparent)]
    Supervisor(#[from] ControlError),
    /// The supervisor sent no file.
    #[error("no file came with the answer")]
    NoFile,
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] std::io::Error),
}

/// What was there at the start.
#[derive(Debug, Default)]
pub struct Saved {
    mempool: Option<File>,
    estimates: Option<File>,
}

/// Asks the supervisor for a file. Gives its full path, and the open file if the purpose comes with one.
///
/// # Errors
/// The supervisor refuses or is gone.
fn ask(supervisor: &Handle, purpose: &str, path: &str) -> Result<(String, Option<OwnedFd>), ControlError> {
    let mut answer = supervisor.request(Request::OpenFile(OpenFile { purpose: purpose.into(), path: path.into() }))?;
    Ok((answer.text, answer.descriptors.pop()))
}

impl Saved {
    /// Opens what is there; before confinement.
    pub fn open(config: &ChainConfig) -> Self {
        let datadir = Path::new(&config.datadir);
        Self { mempool: persist::open(datadir), estimates: File::open(datadir.join("fee_estimates.dat")).ok() }
    }

    /// The file of the mempool, once.
    pub fn take_mempool(&mut self) -> Option<File> {
        self.mempool.take()
    }

    /// The estimator with what an earlier run has learnt, if that is not too old.
    pub fn estimator(&mut self, config: &ChainConfig) -> Estimator {
        let path = Path::new(&config.datadir).join("fee_estimates.dat");
        let path = path.display();
        let Some(file) = self.estimates.take() else {
            tracing::info!("{path} is not found. Continue anyway.");
            return Estimator::default();
        };
        let age =
            file.metadata().and_then(|metadata| metadata.modified()).map(|modified| SystemTime::now().duration_since(modified));
        // A file from the future is as good as new.
        let age = age.ok().and_then(Result::ok).unwrap_or_default().as_secs() / 3600;
        if age > MAX_FEE_FILE_AGE && !config.acceptstalefeeestimates {
            tracing::warn!(
                "Fee estimation file {path} too old (age={age} > {MAX_FEE_FILE_AGE} hours) and will not be used to avoid serving stale estimates."
            );
            return Estimator::default();
        }
        let mut bytes = Vec::new();
        let outcome = match file.take(MAX_FEE_FILE_BYTES).read_to_end(&mut bytes) {
            Ok(_) => Estimator::decode(&bytes).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        outcome.unwrap_or_else(|error| {
            tracing::warn!("Unable to read policy estimator data (non-fatal): {error}");
            tracing::warn!("Failed to read fee estimates from {path}. Continue anyway.");
            Estimator::default()
        })
    }
}

/// Writes the mempool; gives the path.
///
/// # Errors
/// No file, or it cannot be written.
pub fn save_mempool(supervisor: &Handle, pool: &Pool, plain: bool) -> Result<String, SavedError> {
    let (_, file) = ask(supervisor, "saveMempool", "")?;
    persist::save(File::from(file.ok_or(SavedError::NoFile)?), pool, plain)?;
    Ok(ask(supervisor, "finishMempool", "")?.0)
}

/// Writes the fee estimates, unless the node sees no transactions; failures are only told in the log.
pub fn save_estimates(supervisor: &Handle, pool: &Pool, config: &ChainConfig) {
    if config.blocksonly {
        return;
    }
    let saved = ask(supervisor, "saveFeeEstimates", "").map_err(SavedError::from).and_then(|(path, file)| {
        let bytes = pool.estimator().encode();
        File::from(file.ok_or(SavedError::NoFile)?).write_all(&bytes)?;
        Ok(path)
    });
    match saved {
        Ok(path) => tracing::debug!(target: "estimatefee", "Flushed fee estimates to {path}."),
        Err(error) => tracing::warn!("Failed to write fee estimates: {error}. Continue anyway."),
    }
}

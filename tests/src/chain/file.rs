//! Chains as files for `-loadblock`, kept between runs.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use bitcoin::consensus::serialize;
use serde_json::{Value, json};

use super::Recipe;
use super::plan::Planner;

const REGTEST_MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];
/// Part of the file's name; changes whenever the same recipe gives other bytes.
const FORMAT: u32 = 2;

/// A chain that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Hash of its last block, in hex.
    pub tip: String,
    /// Height of its last block.
    pub height: u32,
    /// Inputs, without coinbases.
    pub inputs: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Writes the chain. Genesis stands first: Core wants it active before it takes in other blocks.
///
/// # Errors
/// When the recipe cannot be made or `out` cannot be written.
pub fn write(recipe: &Recipe, out: &mut impl Write) -> Result<Made, String> {
    let mut planner = Planner::new(*recipe)?;
    let mut bytes = 0;
    let mut next = Some(bitcoin::constants::genesis_block(bitcoin::Network::Regtest));
    while let Some(block) = next {
        let payload = serialize(&block);
        let length = (payload.len() as u32).to_le_bytes(); // blocks are below 4 MB
        for part in [&REGTEST_MAGIC[..], &length, &payload] {
            out.write_all(part).map_err(|error| error.to_string())?;
            bytes += part.len() as u64;
        }
        next = planner.next()?;
    }
    Ok(Made { tip: planner.tip().to_string(), height: recipe.height(), inputs: planner.inputs, bytes })
}

/// The file of a recipe below `BULKHEAD_CACHE`, made unless it is there.
///
/// # Errors
/// As [`write`], or when the folder cannot be used.
pub fn ensure(recipe: &Recipe) -> Result<(PathBuf, Made), String> {
    let folder = cache()?.join("chains");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let Recipe { blocks, transactions, tail, seed } = recipe;
    let path = folder.join(format!("regtest-v{FORMAT}-{blocks}-{transactions}-{tail}-{seed}.dat"));
    let facts = path.with_extension("json");
    if let Some(made) = fs::read(&facts).ok().and_then(|bytes| parse(&bytes))
        && fs::metadata(&path).is_ok_and(|metadata| metadata.len() == made.bytes)
    {
        return Ok((path, made));
    }
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    // Another run may make the same file at the same time.
    let partial = path.with_extension(format!("part-{}", std::process::id()));
    let mut out = BufWriter::new(File::create(&partial).map_err(failed)?);
    let made = write(recipe, &mut out)?;
    out.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    fs::rename(&partial, &path).map_err(failed)?;
    let text = json!({"tip": made.tip, "height": made.height, "inputs": made.inputs, "bytes": made.bytes});
    fs::write(&facts, text.to_string()).map_err(failed)?;
    Ok((path, made))
}

fn parse(bytes: &[u8]) -> Option<Made> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    Some(Made {
        tip: value["tip"].as_str()?.to_owned(),
        height: value["height"].as_u64()?.try_into().ok()?,
        inputs: value["inputs"].as_u64()?,
        bytes: value["bytes"].as_u64()?,
    })
}

/// `BULKHEAD_CACHE`, as the Makefile sets it.
fn cache() -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("BULKHEAD_CACHE") {
        return Ok(folder.into());
    }
    let home = std::env::var_os("HOME").ok_or("neither BULKHEAD_CACHE nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache/bulkhead"))
}

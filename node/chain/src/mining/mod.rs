//! Block templates and mining on test chains. The blocks are byte for byte what Bitcoin Core 31 makes of the same chain,
//! mempool and time (facts from its src/node/miner.cpp).

mod generate;
mod options;
mod template;
mod wait;

pub use generate::{MineError, mine, mine_blocks};
pub use options::TemplateOptions;
pub use template::{BlockTemplate, build_template, minimum_time, regenerate_commitment, update_time};
pub use wait::Miner;

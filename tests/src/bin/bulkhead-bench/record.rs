//! The figures of the last recorded run, in `tests/bench/recorded.json`. `BULKHEAD_RECORD=1` writes them anew; Core's stay as they
//! were where no reference binary was measured.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Outcome;

/// What one kind of run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Until the last block was connected, in seconds.
    pub seconds: f64,
    /// Processor time of all processes, in seconds.
    pub cpu: f64,
    /// Peak memory of the sum of all processes, in MiB.
    pub memory: f64,
}

impl Figures {
    /// The median of each figure.
    pub fn median(runs: &[Figures]) -> Option<Figures> {
        let middle = |field: fn(&Figures) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(field).collect();
            values.sort_unstable_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        Some(Figures { seconds: middle(|run| run.seconds)?, cpu: middle(|run| run.cpu)?, memory: middle(|run| run.memory)? })
    }

    fn json(&self) -> Value {
        let round = |value: f64| (value * 100.0).round() / 100.0;
        json!({"seconds": round(self.seconds), "cpu": round(self.cpu), "memory": round(self.memory)})
    }

    fn parse(value: &Value) -> Option<Figures> {
        let field = |name: &str| value[name].as_f64();
        Some(Figures { seconds: field("seconds")?, cpu: field("cpu")?, memory: field("memory")? })
    }
}

/// A line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// This node.
    pub ours: Figures,
    /// This node as recorded last.
    pub before: Option<Figures>,
    /// Bitcoin Core, measured or recorded.
    pub core: Option<Figures>,
    /// Stages of the median run and the seconds that each took.
    pub stages: Vec<(String, f64)>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { name, ours, before, core, .. } = self;
        let seconds = |figures: &Option<Figures>, value: fn(&Figures) -> f64, digits: usize| {
            figures.as_ref().map_or_else(|| "-".to_owned(), |figures| format!("{:.digits$}", value(figures)))
        };
        let times = core.map_or_else(|| "-".to_owned(), |core| format!("{:.2}", core.seconds / ours.seconds));
        write!(
            f,
            "{name:<36} {:>8.2} {:>8} {:>8} {times:>7} {:>8.2} {:>8} {:>8.0} {:>8}",
            ours.seconds,
            seconds(before, |figures| figures.seconds, 2),
            seconds(core, |figures| figures.seconds, 2),
            ours.cpu,
            seconds(core, |figures| figures.cpu, 2),
            ours.memory,
            seconds(core, |figures| figures.memory, 0),
        )
    }
}

impl Row {
    /// The stages with their share of all of them; several go on at the same time.
    pub fn shares(&self) -> String {
        let sum: f64 = self.stages.iter().map(|(_, seconds)| seconds).sum();
        let share = |(name, seconds): &(String, f64)| format!("{name} {seconds:.2} s ({:.0} %)", seconds * 100.0 / sum.max(1e-9));
        self.stages.iter().map(share).collect::<Vec<_>>().join(", ")
    }
}

/// Column heads.
pub const HEAD: [&str; 8] = ["ours s", "before", "Core s", "times", "cpu s", "Core", "MiB", "Core"];

/// A run as kept in the tree.
#[derive(Debug, Clone)]
pub struct Recorded(Value);

impl Recorded {
    /// With these lines instead of those of the same name.
    pub fn with(mut self, rows: Vec<Row>) -> Self {
        let row = |row: &Row| {
            let core = row.core.as_ref().map(Figures::json);
            (row.name.clone(), json!({"ours": row.ours.json(), "core": core}))
        };
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let mut kept = self.0["replay"].as_object_mut().map(std::mem::take).unwrap_or_default();
        kept.extend(rows.iter().map(row));
        self.0 = json!({"processors": processors, "replay": kept});
        self
    }

    /// Reads the file; without one nothing is recorded.
    pub fn load() -> Outcome<Self> {
        match std::fs::read(path()) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Self).map_err(|error| format!("{}: {error}", path().display())),
            Err(_) => Ok(Self(Value::Null)),
        }
    }

    /// What Core took.
    pub fn core(&self, name: &str) -> Option<Figures> {
        Figures::parse(&self.0["replay"][name]["core"])
    }

    /// What this node took.
    pub fn ours(&self, name: &str) -> Option<Figures> {
        Figures::parse(&self.0["replay"][name]["ours"])
    }

    /// Writes the file.
    pub fn save(&self) -> Outcome<()> {
        let text = format!("{:#}\n", self.0);
        std::fs::create_dir_all(path().parent().unwrap_or(Path::new("."))).map_err(|error| error.to_string())?;
        std::fs::write(path(), text).map_err(|error| format!("{}: {error}", path().display()))
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/recorded.json")
}

//! Files of others.

use nix::libc;

use super::{AT_FDCWD, Action, open};
use crate::inject::{Held, InjectError};
use crate::proc::descriptors;

const CHAIN: (&str, &str) = ("chain", "keeps block files below its own directories");
const KEYSTORE: (&str, &str) = ("keystore", "owns the directory of its wallet");
const NODE: (&str, &str) = ("node", "opens files for users and children");
const STAT: (&str, &str) = ("chain", "metadata is not governed by Landlock; contents are");
const STAT_KEYSTORE: (&str, &str) = ("keystore", "metadata is not governed by Landlock; contents are");

const F_SETFL: u64 = libc::F_SETFL as u64;
/// Beyond the end of every log, so that nothing is lost where this works.
const FAR: u64 = 1 << 40;

/// The number under which a process holds debug.log.
fn log(held: &Held) -> Result<u64, InjectError> {
    let found = descriptors(held.pid()).map_err(|error| InjectError(error.to_string()))?;
    let log = found.iter().find(|(_, target)| target.ends_with("/debug.log"));
    log.map(|(number, _)| u64::from(number.unsigned_abs())).ok_or_else(|| InjectError("it has no debug.log".into()))
}

pub(super) const ACTIONS: &[Action] = &[
    Action::new("open a wallet file", |held, to| open(held, &to.wallet_file, libc::O_RDONLY)).but(&[KEYSTORE, NODE]),
    Action::new("write a wallet file", |held, to| open(held, &to.wallet_file, libc::O_RDWR)).but(&[KEYSTORE, NODE]),
    Action::new("open a block file", |held, to| open(held, &to.block_file, libc::O_RDWR)).but(&[CHAIN, NODE]),
    Action::new("open /etc/passwd", |held, _| open(held, "/etc/passwd", libc::O_RDONLY)).but(&[NODE]),
    Action::new("open /etc/shadow", |held, _| open(held, "/etc/shadow", libc::O_RDONLY)).but(&[NODE]),
    Action::new("open the memory of its own process", |held, _| open(held, "/proc/self/mem", libc::O_RDWR)).but(&[NODE]),
    Action::new("list /", |held, _| open(held, "/", libc::O_RDONLY | libc::O_DIRECTORY)).but(&[NODE]),
    Action::new("create a file in the data directory", |held, to| {
        open(held, &format!("{}/planted", to.datadir), libc::O_CREAT | libc::O_WRONLY)
    })
    .but(&[NODE]),
    Action::new("unlink a file of the data directory", |held, to| {
        let path = held.text(&to.sacrifice)?;
        held.call(libc::SYS_unlink, &[path])
    })
    .but(&[NODE]),
    Action::new("rename a file of the data directory", |held, to| {
        let (from, into) = (held.text(&to.sacrifice)?, held.text(&format!("{}/moved", to.datadir))?);
        held.call(libc::SYS_rename, &[from, into])
    })
    .but(&[NODE]),
    Action::new("make a directory in the data directory", |held, to| {
        let path = held.text(&format!("{}/made", to.datadir))?;
        held.call(libc::SYS_mkdir, &[path, 0o700])
    })
    .but(&[NODE]),
    Action::new("remove the data directory", |held, to| {
        let path = held.text(&to.datadir)?;
        held.call(libc::SYS_rmdir, &[path])
    })
    .but(&[NODE]),
    Action::new("remove the data directory from a directory", |held, to| {
        let path = held.text(&to.datadir)?;
        held.call(libc::SYS_unlinkat, &[AT_FDCWD, path, libc::AT_REMOVEDIR.cast_unsigned().into()])
    })
    .but(&[NODE]),
    Action::new("set the times of a file of the data directory", |held, to| {
        let path = held.text(&to.sacrifice)?;
        held.call(libc::SYS_utimensat, &[AT_FDCWD, path, 0, 0])
    }),
    Action::new("symlink out of the data directory", |held, to| {
        let (target, path) = (held.text("/etc")?, held.text(&format!("{}/link", to.datadir))?);
        held.call(libc::SYS_symlink, &[target, path])
    }),
    Action::new("hard link to a wallet file", |held, to| {
        let (from, into) = (held.text(&to.wallet_file)?, held.text(&format!("{}/copy", to.datadir))?);
        held.call(libc::SYS_link, &[from, into])
    }),
    Action::new("chmod a file of the data directory", |held, to| {
        let path = held.text(&to.sacrifice)?;
        held.call(libc::SYS_chmod, &[path, 0o777])
    }),
    Action::new("chown a file of the data directory", |held, to| {
        let path = held.text(&to.sacrifice)?;
        held.call(libc::SYS_chown, &[path, 0, 0])
    }),
    Action::new("truncate a wallet file by path", |held, to| {
        let path = held.text(&to.sacrifice)?;
        held.call(libc::SYS_truncate, &[path, 0])
    }),
    Action::new("set an extended attribute", |held, to| {
        let (path, name) = (held.text(&to.sacrifice)?, held.text("user.bulkhead")?);
        held.call(libc::SYS_setxattr, &[path, name, name, 4, 0])
    }),
    Action::new("look at the metadata of /etc/shadow", |held, _| {
        let (path, buffer) = (held.text("/etc/shadow")?, held.place(&[0; 256])?);
        held.call(libc::SYS_newfstatat, &[AT_FDCWD, path, buffer, 0])
    })
    .but(&[STAT, STAT_KEYSTORE, NODE]),
    Action::new("cut debug.log short", |held, _| {
        let log = log(held)?;
        // Longer than a file can be: whoever may cut is told so.
        held.call(libc::SYS_ftruncate, &[log, i64::MAX.unsigned_abs()])
    })
    .of_log(),
    Action::new("punch a hole into debug.log", |held, _| {
        let log = log(held)?;
        let mode = libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE;
        held.call(libc::SYS_fallocate, &[log, mode.unsigned_abs().into(), FAR, 4096])
    })
    .of_log(),
    Action::new("write into debug.log instead of behind it", |held, _| {
        let log = log(held)?;
        let answer = held.call(libc::SYS_fcntl, &[log, F_SETFL, libc::O_WRONLY.unsigned_abs().into()])?;
        held.call(libc::SYS_fcntl, &[log, F_SETFL, (libc::O_WRONLY | libc::O_APPEND).unsigned_abs().into()])?;
        Ok(answer)
    })
    .of_log(),
    Action::new("change the working directory", |held, _| {
        let path = held.text("/")?;
        held.call(libc::SYS_chdir, &[path])
    }),
];

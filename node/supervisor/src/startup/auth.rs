//! Credentials of RPC: the cookie is written here, and only hashes leave this file (Core's `httprpc.cpp`).

use super::arguments::Options;
use bulkhead_config::join;
use hmac::{Hmac, Mac};
use nix::sys::stat::{Mode, fchmod};
use sha2::Sha256;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

const COOKIE_USER: &str = "__cookie__";

/// What the front door needs, and what must be removed at the end.
#[derive(Debug, Default)]
pub(crate) struct Credentials {
    /// "user:salt$hash" lines.
    pub rpcauth: Vec<String>,
    /// The cookie that we wrote.
    pub cookie: Option<PathBuf>,
}

/// Reads the options and writes the cookie. `None`: something is wrong, and the log says what.
pub(crate) fn prepare(options: &Options) -> Option<Credentials> {
    let args = &options.args;
    let mut credentials = Credentials::default();
    let password = args.get_or("-rpcpassword", "");
    if password.is_empty() {
        let mode = match args.get("-rpccookieperms").as_deref() {
            None => None,
            Some("owner") => Some(0o600),
            Some("group") => Some(0o640),
            Some("all") => Some(0o644),
            Some(other) => {
                tracing::error!("Invalid -rpccookieperms={other}; must be one of 'owner', 'group', or 'all'.");
                return None;
            }
        };
        if let Some(path) = cookie_path(options) {
            let password = hex::encode(random::<32>()?);
            write_cookie(&path, &password, mode)?;
            tracing::info!("Using random cookie authentication.");
            credentials.rpcauth.push(hashed(COOKIE_USER, &password)?);
            credentials.cookie = Some(path);
        } else {
            tracing::info!("RPC authentication cookie file generation is disabled.");
        }
    } else {
        tracing::info!("Using rpcuser/rpcpassword authentication.");
        tracing::warn!(
            "The use of rpcuser/rpcpassword is less secure, because credentials are configured in plain text. It is \
             recommended that locally-run instances switch to cookie-based auth, or otherwise to use hashed rpcauth \
             credentials. See share/rpcauth in the source directory for more information."
        );
        credentials.rpcauth.push(hashed(&args.get_or("-rpcuser", ""), &password)?);
    }
    let given = args.get_all("-rpcauth");
    if !given.is_empty() {
        tracing::info!("Using rpcauth authentication.");
    }
    for line in given {
        let parts: Vec<&str> = line.split(':').collect();
        let well_formed = matches!(parts.as_slice(), [_, rest] if rest.split('$').count() == 2);
        if !well_formed {
            tracing::warn!("Invalid -rpcauth argument.");
            remove_cookie(&credentials);
            return None;
        }
        credentials.rpcauth.push(line);
    }
    Some(credentials)
}

/// Removes the cookie that we wrote.
pub(crate) fn remove_cookie(credentials: &Credentials) {
    if let Some(path) = &credentials.cookie {
        // It may be gone already.
        let _ = std::fs::remove_file(path);
    }
}

/// `None` with `-norpccookiefile`.
fn cookie_path(options: &Options) -> Option<PathBuf> {
    let path = options.args.path_arg("-rpccookiefile", ".cookie");
    (!path.as_os_str().is_empty()).then(|| join(&options.datadir, &path))
}

fn write_cookie(path: &PathBuf, password: &str, mode: Option<u32>) -> Option<()> {
    let mut temporary = path.clone().into_os_string();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
    let Ok(mut file) = file else {
        tracing::warn!("Unable to open cookie authentication file {} for writing", temporary.display());
        return None;
    };
    let written = write!(file, "{COOKIE_USER}:{password}");
    if written.is_err() || std::fs::rename(&temporary, path).is_err() {
        let (from, to) = (temporary.display(), path.display());
        tracing::warn!("Unable to rename cookie authentication file {from} to {to}");
        return None;
    }
    if let Some(mode) = mode
        && fchmod(&file, Mode::from_bits_truncate(mode)).is_err()
    {
        tracing::warn!("Unable to set permissions on cookie authentication file {}", path.display());
        return None;
    }
    tracing::info!("Generated RPC authentication cookie {}", path.display());
    let mode = file.metadata().map_or(0, |metadata| metadata.permissions().mode());
    tracing::info!("Permissions used for cookie: {}", symbolic(mode));
    Some(())
}

/// "rw-r-----".
fn symbolic(mode: u32) -> String {
    (0..9).map(|bit| if mode & (0o400 >> bit) == 0 { '-' } else { ['r', 'w', 'x'][bit % 3] }).collect()
}

/// "user:salt$hmac", as `-rpcauth` has it.
fn hashed(user: &str, password: &str) -> Option<String> {
    let salt = hex::encode(random::<16>()?);
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).ok()?;
    mac.update(password.as_bytes());
    Some(format!("{user}:{salt}${}", hex::encode(mac.finalize().into_bytes())))
}

/// Random bytes of the kernel.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_symbolic_modes() {
        assert_eq!(symbolic(0o600), "rw-------");
        assert_eq!(symbolic(0o100_644), "rw-r--r--");
    }

    #[test]
    fn test_hashed_has_the_form_of_rpcauth_and_hides_the_password() {
        let line = hashed("u", "secret").unwrap();
        let (user, rest) = line.split_once(':').unwrap();
        let (salt, hash) = rest.split_once('$').unwrap();
        assert_eq!((user, salt.len(), hash.len()), ("u", 32, 64));
        assert!(!line.contains("secret"));
    }
}

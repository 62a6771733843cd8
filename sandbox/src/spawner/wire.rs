//! Messages between supervisor and spawner: one datagram each, little-endian, length-checked.

use super::{Exit, Outcome};
use crate::{SandboxError, passing};
use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, MsgFlags, sendmsg},
};
use std::{
    io::IoSlice,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
};

/// Largest message. Arguments are a handful of words.
const MAX_MESSAGE: usize = 16 * 1024;
/// Most descriptors beside one message (the kernel's own bound is 253).
const MAX_DESCRIPTORS: usize = 64;

const SPAWN: u8 = 1;
const KILL: u8 = 2;
const BORN: u8 = 3;
const REFUSED: u8 = 4;
const EXITED: u8 = 5;

/// What the supervisor asks.
#[derive(Debug)]
pub(super) enum Request {
    Spawn { component: String, args: Vec<String>, keep: Vec<(OwnedFd, i32)> },
    Kill(i32),
}

/// What the spawner says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Born(i32),
    Refused(String),
    Exited(Exit),
}

pub(super) fn send_spawn(
    channel: &impl AsFd,
    component: &str,
    args: &[&str],
    keep: &[(OwnedFd, i32)],
) -> Result<(), SandboxError> {
    let mut bytes = vec![SPAWN];
    put_text(&mut bytes, component)?;
    put_count(&mut bytes, args.len())?;
    for arg in args {
        put_text(&mut bytes, arg)?;
    }
    put_count(&mut bytes, keep.len())?;
    for (_, target) in keep {
        bytes.extend_from_slice(&target.to_le_bytes());
    }
    let raw: Vec<RawFd> = keep.iter().map(|(fd, _)| fd.as_raw_fd()).collect();
    send(channel, &bytes, &raw)
}

pub(super) fn send_kill(channel: &impl AsFd, pid: i32) -> Result<(), SandboxError> {
    let mut bytes = vec![KILL];
    bytes.extend_from_slice(&pid.to_le_bytes());
    send(channel, &bytes, &[])
}

pub(super) fn send_answer(channel: &impl AsFd, answer: &Answer) -> Result<(), SandboxError> {
    let mut bytes = Vec::new();
    match answer {
        Answer::Born(pid) => {
            bytes.push(BORN);
            bytes.extend_from_slice(&pid.to_le_bytes());
        }
        Answer::Refused(text) => {
            bytes.push(REFUSED);
            put_text(&mut bytes, text)?;
        }
        Answer::Exited(Exit { pid, outcome }) => {
            bytes.push(EXITED);
            bytes.extend_from_slice(&pid.to_le_bytes());
            let (kind, number) = match outcome {
                Outcome::Code(code) => (0u8, *code),
                Outcome::Signal(signal) => (1u8, *signal),
            };
            bytes.push(kind);
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    send(channel, &bytes, &[])
}

/// Reads one answer. `None`: nothing is waiting (only when not asked to wait).
pub(super) fn receive_answer(channel: &impl AsFd, wait: bool) -> Result<Option<Answer>, SandboxError> {
    let Some((bytes, _)) = receive(channel, wait)? else { return Ok(None) };
    if bytes.is_empty() {
        return Err(SandboxError::SpawnerGone);
    }
    let mut reader = Reader(&bytes);
    let answer = match reader.byte()? {
        BORN => Answer::Born(reader.int()?),
        REFUSED => Answer::Refused(reader.text()?),
        EXITED => {
            let pid = reader.int()?;
            let kind = reader.byte()?;
            let number = reader.int()?;
            let outcome = match kind {
                0 => Outcome::Code(number),
                1 => Outcome::Signal(number),
                _ => return Err(SandboxError::Malformed),
            };
            Answer::Exited(Exit { pid, outcome })
        }
        _ => return Err(SandboxError::Malformed),
    };
    reader.end()?;
    Ok(Some(answer))
}

/// Reads one request. `None`: the supervisor closed the channel.
pub(super) fn receive_request(channel: &impl AsFd) -> Result<Option<Request>, SandboxError> {
    let Some((bytes, descriptors)) = receive(channel, true)? else { return Ok(None) };
    if bytes.is_empty() {
        return Ok(None);
    }
    parse_request(&bytes, descriptors).map(Some)
}

fn parse_request(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<Request, SandboxError> {
    let mut reader = Reader(bytes);
    let request = match reader.byte()? {
        SPAWN => {
            let component = reader.text()?;
            let args = (0..reader.count()?).map(|_| reader.text()).collect::<Result<Vec<_>, _>>()?;
            let targets = (0..reader.count()?).map(|_| reader.int()).collect::<Result<Vec<_>, _>>()?;
            if targets.len() != descriptors.len() {
                return Err(SandboxError::Malformed);
            }
            Request::Spawn { component, args, keep: descriptors.into_iter().zip(targets).collect() }
        }
        KILL => Request::Kill(reader.int()?),
        _ => return Err(SandboxError::Malformed),
    };
    reader.end()?;
    Ok(request)
}

fn put_count(bytes: &mut Vec<u8>, count: usize) -> Result<(), SandboxError> {
    let count = u16::try_from(count).map_err(|_| SandboxError::Malformed)?;
    bytes.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

fn put_text(bytes: &mut Vec<u8>, text: &str) -> Result<(), SandboxError> {
    put_count(bytes, text.len())?;
    bytes.extend_from_slice(text.as_bytes());
    Ok(())
}

fn send(channel: &impl AsFd, bytes: &[u8], descriptors: &[RawFd]) -> Result<(), SandboxError> {
    if bytes.len() > MAX_MESSAGE || descriptors.len() > MAX_DESCRIPTORS {
        return Err(SandboxError::Malformed);
    }
    let io = [IoSlice::new(bytes)];
    let rights = [ControlMessage::ScmRights(descriptors)];
    let control: &[ControlMessage<'_>] = if descriptors.is_empty() { &[] } else { &rights };
    loop {
        match sendmsg::<()>(channel.as_fd().as_raw_fd(), &io, control, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(SandboxError::SpawnerGone),
            Err(errno) => return Err(SandboxError::system("sendmsg", errno)),
        }
    }
}

/// One datagram; empty at end of file, `None` when nothing is waiting.
fn receive(channel: &impl AsFd, wait: bool) -> Result<Option<Datagram>, SandboxError> {
    let mut buffer = vec![0u8; MAX_MESSAGE];
    let flags = if wait { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
    loop {
        let error = match passing::receive(channel.as_fd(), &mut buffer, flags) {
            Ok((length, descriptors)) => {
                buffer.truncate(length);
                return Ok(Some((buffer, descriptors)));
            }
            Err(error) => error,
        };
        match error.raw_os_error().map_or(Errno::EIO, Errno::from_raw) {
            Errno::EINTR => {}
            Errno::EAGAIN => return Ok(None),
            Errno::ECONNRESET => return Ok(Some((Vec::new(), Vec::new()))),
            Errno::EMSGSIZE => return Err(SandboxError::Malformed),
            errno => return Err(SandboxError::system("recvmsg", errno)),
        }
    }
}

type Datagram = (Vec<u8>, Vec<OwnedFd>);

/// Takes fields off the front of a message.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8], SandboxError> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(SandboxError::Malformed)?;
        self.0 = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, SandboxError> {
        Ok(self.take(1)?[0])
    }

    fn count(&mut self) -> Result<usize, SandboxError> {
        let bytes = self.take(2)?;
        Ok(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
    }

    fn int(&mut self) -> Result<i32, SandboxError> {
        let bytes = self.take(4)?;
        Ok(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self) -> Result<String, SandboxError> {
        let length = self.count()?;
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| SandboxError::Malformed)
    }

    fn end(&self) -> Result<(), SandboxError> {
        if self.0.is_empty() { Ok(()) } else { Err(SandboxError::Malformed) }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
